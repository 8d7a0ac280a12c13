"""Plans from Python: the plans of the command line, whatever they are made from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from threadpoolctl import ThreadpoolController

import mpirobust
from mpirobust import plan as plans
from mpirobust.aggregators.mean import Mean
from mpirobust.reports.forecast import forecast
from tests.support.launching import CONFIGS

QUICKSTART = CONFIGS / "quickstart.toml"
TABLE: dict[str, Any] = tomllib.loads(QUICKSTART.read_text())

_TIMES = """
from mpirobust import component
from mpirobust.aggregators.mean import Mean

@component
class Times(Mean):
    def judge(self, answers, memory, context):
        verdict = super().judge(answers, memory, context)
        return type(verdict)({factor} * verdict.step, verdict.kept)
"""


@pytest.fixture
def of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan in the folder `plans` of the working directory, beside a rule that returns the mean."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "times.py").write_text(_TIMES.format(factor=1))
    path = tmp_path / "plans" / "plan.toml"
    path.write_text(tomli_w.dumps({**TABLE, "aggregator": {"kind": "./times.py:Times"}}))
    return path


@pytest.mark.parametrize("source", [QUICKSTART, str(QUICKSTART), TABLE], ids=["path", "text", "table"])
def test_a_plan_is_that_of_the_command(source: Any) -> None:
    plan = mpirobust.load_plan(source)
    assert plan == plans.load_plan(QUICKSTART, [])[0]
    assert plan.file == (None if source is TABLE else QUICKSTART)


@pytest.mark.parametrize("source", [QUICKSTART, TABLE], ids=["file", "table"])
@pytest.mark.parametrize(
    ("overrides", "settings"),
    [
        ({"seed": 7}, ["seed=7"]),
        ({"seed": np.int64(7), "algorithm": {"step": np.float64(0.25)}}, ["seed=7", "algorithm.step=0.25"]),
        ({"algorithm": {"rounds": 3}, "feedback": "residual"}, ["algorithm.rounds=3", "feedback=residual"]),
        (
            {"algorithm.rounds": 3, "data.partition.kind": "contiguous"},
            ["algorithm.rounds=3", "data.partition.kind=contiguous"],
        ),
        (
            {"problem": {"kind": "network", "hidden": np.array([3, 2])}},
            ["problem.kind=network", "problem.hidden=[3, 2]"],
        ),
    ],
    ids=str,
)
def test_overrides_are_those_of_the_command(source: Any, overrides: dict[str, Any], settings: list[str]) -> None:
    assert mpirobust.load_plan(source, **overrides) == plans.load_plan(QUICKSTART, settings)[0]


def test_notes_are_warnings() -> None:
    dropped = r"aggregator\.kind=mean has no key 'beta': aggregator\.beta = 0\.\d+ is dropped"
    with pytest.warns(UserWarning, match=dropped) as caught:
        plan = mpirobust.load_plan(QUICKSTART, aggregator={"kind": "mean"}, attack={"alpha": 0.0})
    assert plan.aggregator == Mean()
    assert [each.filename for each in caught] == [__file__]


def test_what_a_plan_holds_is_loaded_again() -> None:
    plan = mpirobust.load_plan(QUICKSTART)
    assert mpirobust.load_plan(plan.table()) == mpirobust.load_plan(tomllib.loads(plan.toml())) == plan


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan with its data and its rule beside it, in a folder that is not the working directory."""
    folder = tmp_path / "plans"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    (folder / "rows.svm").write_text("".join(f"{row % 2} 1:{row % 5} 2:1\n" for row in range(40)))
    (folder / "times.py").write_text(_TIMES.format(factor=1))
    table = {
        **{key: TABLE[key] for key in ("seed", "compressor")},
        "workers": 10,
        "data": {"kind": "libsvm", "path": "rows.svm"},
        "problem": {"kind": "logistic"},
        "algorithm": {"kind": "first-order", "rounds": 2, "step": 0.1},
        "aggregator": {"kind": "./times.py:Times"},
    }
    (folder / "plan.toml").write_text(tomli_w.dumps(table))
    return folder / "plan.toml"


def test_a_plan_made_from_a_plan_or_a_run_has_its_folder(beside: Path) -> None:
    plan = mpirobust.load_plan(beside, seed=8)
    run = mpirobust.run(plan, "out")
    assert run.plan_file == plan.file == beside
    for source in (plan, run, mpirobust.open_run("out")):
        same, other = mpirobust.load_plan(source), mpirobust.load_plan(source, seed=9)
        assert (same, same.file, other.file, other.seed) == (plan, beside, beside, 9)
        assert mpirobust.check(source).data.rows == 40
        assert mpirobust.run(source, f"out-{type(source).__name__}", overwrite=True).x.tobytes() == run.x.tobytes()
    with pytest.raises(mpirobust.PlanFault, match=r"aggregator\.kind: './times\.py:Times' cannot be loaded"):
        mpirobust.load_plan(run.plan)  # a table is in no folder


def test_a_run_is_no_file_of_a_plan(beside: Path) -> None:
    path = mpirobust.run(beside, "out").path
    for wrong in (path, path.parent):
        with pytest.raises(mpirobust.PlanFault, match=f"{wrong} is a run and no plan; mpirobust.open_run"):
            mpirobust.load_plan(wrong)


def test_a_table_is_checked_and_run(tmp_path: Path) -> None:
    table = mpirobust.load_plan(TABLE, workers=10, data={"rows": 100}, algorithm={"rounds": 2}).table()
    assert mpirobust.check(table).rounds == 2
    run = mpirobust.run(table, tmp_path)
    assert (run.round, run.plan_file) == (2, None)
    assert mpirobust.load_plan(run).file is None


def test_the_table_stays_as_it_is() -> None:
    before = tomllib.loads(QUICKSTART.read_text())
    mpirobust.load_plan(TABLE, algorithm={"rounds": 3})
    assert before == TABLE


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"sead": 1}, r"sead: unknown key; .*\(did you mean 'seed'\?\)"),
        ({"algorithm": {"rounds": None}}, r"algorithm\.rounds: expected .*, not None"),
        ({"algorithm": {"rounds": 0}}, r"algorithm\.rounds: expected a whole number greater than 0"),
        ({"aggregator": Mean()}, r"aggregator: a plan holds tables with a kind, as TOML does, and no components"),
        ({"seed": 2**70}, r"seed: a whole number of TOML has 64 bits"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(overrides: dict[str, Any], says: str) -> None:
    with pytest.raises(mpirobust.PlanFault, match=f"^{says}"):
        mpirobust.load_plan(TABLE, **overrides)
    with pytest.raises(mpirobust.SetupFault, match=says):
        mpirobust.load_plan(QUICKSTART, **overrides)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(mpirobust.SetupFault, match=rf"{tmp_path / 'no.toml'}: no such plan"):
        mpirobust.load_plan(tmp_path / "no.toml")


def test_check_says_what_the_command_says() -> None:
    seen, said = mpirobust.check(mpirobust.load_plan(QUICKSTART)), forecast(QUICKSTART, [])
    for line in (
        f"dimension   {seen.dim}",
        f"workers     {seen.workers}, {seen.byzantine} of them Byzantine",
        f"rule        {seen.rule}, set for at most {seen.tolerated} Byzantine",
        f"rounds      {seen.rounds}",
        f"bytes up    {seen.bytes_up:,} a worker and round",
        f"bytes down  {seen.bytes_down:,} a worker and round",
        f"delta       {seen.delta}",
        *(f"theory      {sentence}" for sentence in seen.theory),
    ):
        assert f"  {line}" in said
    assert seen.weights.sum() == pytest.approx(1)


def test_the_memory_of_each_worker_that_a_rule_keeps_is_at_the_center() -> None:
    """Two vectors of each for `safeguard`, once for the last round and once for the next."""
    median, safeguard = (
        mpirobust.check(mpirobust.load_plan({**TABLE, "aggregator": {"kind": kind}}, workers=10, data={"rows": 100}))
        for kind in ("median", "safeguard")
    )
    more = safeguard.memory_of_center - median.memory_of_center
    assert more == pytest.approx(2 * 2 * 8 * 10 * median.dim, rel=0.01)


def test_check_takes_a_file_and_finds_the_data_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.svm").write_text("".join(f"{row % 2} 1:{row % 5} 2:1\n" for row in range(40)))
    tables = {"data": {"kind": "libsvm", "path": "rows.svm"}, "problem": {"kind": "logistic"}}
    plan = mpirobust.load_plan({**TABLE, **tables}, workers=10)
    (tmp_path / "plan.toml").write_text(plan.toml())
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    assert mpirobust.check(tmp_path / "plan.toml").data.rows == 40
    with pytest.raises(mpirobust.DataFault, match=r"data\.path: no file 'rows\.svm'; looked for"):
        mpirobust.check(plan)
    monkeypatch.chdir(tmp_path)
    assert mpirobust.check(plan).dim == 2


def test_check_gives_blas_its_threads_back() -> None:
    def threads() -> list[int]:
        return [each["num_threads"] for each in ThreadpoolController().info() if each["user_api"] == "blas"]

    with ThreadpoolController().limit(limits=2):
        before = threads()
        mpirobust.check(mpirobust.load_plan(TABLE, workers=10, data={"rows": 100}))
        assert threads() == before


def test_code_that_has_two_names_keeps_that_of_each_plan(of_file: Path) -> None:
    plan = mpirobust.load_plan(of_file)
    before = plan.record().identity()
    other = mpirobust.aggregator("plans/times.py:Times")
    assert plan.aggregator == other
    assert plan.table()["aggregator"]["kind"] == "./times.py:Times"
    assert plan.record().identity() == before
    assert {each.kind for each in plan.origins().values()} == {"./times.py:Times"}


def test_code_that_has_changed_is_executed_and_recorded_as_changed(of_file: Path) -> None:
    before = mpirobust.load_plan(of_file)
    (of_file.parent / "times.py").write_text(_TIMES.format(factor=20))
    after, sources = mpirobust.load_plan(of_file), before.record().sources
    rows = np.ones((3, 2))
    assert mpirobust.aggregate(rows, before.aggregator).tolist() == [1, 1]
    assert mpirobust.aggregate(rows, after.aggregator).tolist() == [20, 20]
    assert after.record().sources != sources == before.record().sources
    with pytest.raises(mpirobust.SetupFault, match=r"times\.py on .* is not the file that the center has loaded"):
        mpirobust.run(before, of_file.parent / "run")


def test_what_a_file_lacks_is_named(of_file: Path) -> None:
    with pytest.raises(mpirobust.PlanFault, match=rf"there is no 'Tines' in {of_file.parent / 'times.py'}"):
        mpirobust.aggregator("plans/times.py:Tines")
