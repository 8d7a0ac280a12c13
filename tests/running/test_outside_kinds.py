"""A kind in a file beside the plan is the same file on all ranks, and in every session of a run."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mpirobust import outside
from mpirobust.errors import PlanFault, SetupFault
from mpirobust.running import root
from mpirobust.running.setup import RunRequest, build_rank
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import run_alone
from tests.support.launching import REPOSITORY

_RULES = REPOSITORY / "tests" / "support" / "outside" / "outside_kinds" / "rules.py"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    shutil.copy(_RULES, tmp_path)
    path = tmp_path / "plan.toml"
    path.write_text(regression_plan().toml().replace('kind = "mean"', 'kind = "./rules.py:Shorten"'))
    return path


def test_another_source_on_a_rank_than_at_the_center_is_refused(plan: Path) -> None:
    setup = root.prepare(RunRequest(plan, out=plan.parent / "out", quiet=True), 1)
    assert [*setup.sources] == ["aggregator"]
    assert build_rank(setup, range(6), survives=False).plan.workers == 6
    with pytest.raises(SetupFault, match=r"aggregator: .*rules\.py on .* is not the file that the center"):
        build_rank(replace(setup, sources={"aggregator": "0" * 64}), range(6), survives=False)


def test_a_run_is_not_continued_with_another_source(plan: Path) -> None:
    out = plan.parent / "out"
    run_alone(plan, out, "algorithm.rounds=3")
    run_alone(plan, out, "algorithm.rounds=4", resume=True)
    with (plan.parent / "rules.py").open("a") as file:
        file.write("# another file\n")
    with pytest.raises(SetupFault, match=r"the source of aggregator has changed since the run in .* began"):
        run_alone(plan, out, "algorithm.rounds=5", resume=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./rules.py:nothing", r"problem\.model: '\./rules\.py:nothing' cannot be loaded: AttributeError"),
        ("./gone.py:make", r"problem\.model: .* cannot be loaded: FileNotFoundError"),
        ("gone:make", r"problem\.model: .* cannot be loaded: ModuleNotFoundError: No module named 'gone'$"),
        ("rules:make", r"No module named 'rules' \(did you mean '\./rules\.py:make'\?\)$"),
        ("./rules.py:__doc__", r"problem\.model: .* is no function"),
        ("builtins:dict", r"problem\.model: .builtins:dict. cannot be loaded: TypeError: .* is a built-in"),
    ],
)
def test_a_function_that_cannot_be_had_is_one_message(name: str, message: str, plan: Path) -> None:
    with pytest.raises(PlanFault, match=message):
        outside.function(name, "problem.model", plan.parent)


def test_a_function_is_imported_only_if_it_is_allowed(plan: Path) -> None:
    """As for a kind: a file that names one is no reason to execute it."""
    mine = plan.parent / "mine.py"
    mine.write_text("raise SystemExit('executed')")
    with (
        outside.only([f"{plan.parent}/rules.py:make"]),
        pytest.raises(PlanFault, match=r"give --allow-kind .*mine\.py"),
    ):
        outside.function("./mine.py:make", "problem.model", plan.parent)
    mine.write_text("def make(): return 3")
    with outside.only([f"{mine}:make"]):
        found = outside.function("./mine.py:make", "problem.model", plan.parent)
    assert found.call() == 3
    assert found.file == str(mine)
    assert found.sha256 == hashlib.sha256(mine.read_bytes()).hexdigest()
