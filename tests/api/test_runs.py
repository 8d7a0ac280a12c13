"""Runs from Python: the runs of the command, and what is read from their files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import mpirobust
from mpirobust.cluster.worker import Worker
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import LATER
from mpirobust.records.trace import Trace
from mpirobust.reports.summary import as_json
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone
from tests.support.sealing import resealed

_STOPPING = """
import os, signal
from mpirobust import component
from mpirobust.aggregators.mean import Mean

@component
class Stopping(Mean):
    def judge(self, answers, memory, context):
        if context.round == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return super().judge(answers, memory, context)
"""


@pytest.fixture
def plan() -> mpirobust.Plan:
    attack = {"kind": "gaussian", "alpha": 0.2, "variance": 9.0}
    return regression_plan(
        algorithm={"kind": "first-order", "rounds": 8, "step": 0.1},
        aggregator={"kind": "norm-trim", "beta": 0.2},
        attack=attack,
        audit={"every": 3},
        checkpoint={"every": 2},
    )


def test_a_run_is_that_of_the_command(plan: mpirobust.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(plan.toml())
    run = mpirobust.run(plan, tmp_path / "ours")
    assert capsys.readouterr() == ("", "")
    assert command_alone("run", str(file), "--out", str(tmp_path / "theirs")) == 0
    other = mpirobust.open_run(tmp_path / "theirs")
    assert (run.status, run.path) == ("finished", tmp_path / "ours" / "run.h5")
    assert run.x.tobytes() == other.x.tobytes()
    assert run.plan == other.plan == plan.table()
    assert run.byzantine.tolist() == other.byzantine.tolist() == plan.byzantine().tolist()
    assert run.rounds.keys() == other.rounds.keys()
    for name in ("round", "kept", "norms", "bytes_up", "bytes_down"):
        assert run.rounds[name].tobytes() == other.rounds[name].tobytes()
    for name, column in run.audits.items():
        np.testing.assert_array_equal(column, other.audits[name])


def test_the_summary_is_that_of_inspect(
    plan: mpirobust.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mpirobust.run(plan, tmp_path)
    assert command_alone("inspect", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(as_json(dict(run.summary)))
    assert run.audits["round"].tolist() == [0, 3, 6, 8]
    assert repr(run) == f"Run(path={run.path!r}, status='finished')"


@pytest.mark.parametrize("of_file", [True, False])
def test_the_file_of_the_plan_is_recorded(plan: mpirobust.Plan, of_file: bool, tmp_path: Path) -> None:
    """Files beside it are looked up there when the run is resumed."""
    file = tmp_path / "plan.toml"
    file.write_text(plan.toml())
    run = mpirobust.run(file if of_file else plan, str(tmp_path / "out"))
    import h5py

    with h5py.File(run.path) as trace:
        assert trace.attrs.get("plan_file") == (str(file) if of_file else None)


def test_the_folder_is_chosen(plan: mpirobust.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.toml"
    file.write_text(plan.toml())
    assert [str(mpirobust.run(each).path.parent) for each in (plan, plan, file)] == [
        "runs/plan",
        "runs/plan-2",
        "runs/mine",
    ]
    with pytest.raises(mpirobust.SetupFault, match="runs/plan holds a run"):
        mpirobust.run(plan, "runs/plan")
    assert mpirobust.run(plan, "runs/plan", overwrite=True).status == "finished"


def test_an_interrupted_run_is_a_result_and_goes_on(plan: mpirobust.Plan, tmp_path: Path) -> None:
    (tmp_path / "stopping.py").write_text(_STOPPING)
    rule = {"kind": f"{tmp_path}/stopping.py:Stopping"}
    table = {**plan.table(), "attack": {"kind": "zero", "alpha": 0.0}}
    stopping = mpirobust.load_plan({**table, "aggregator": rule})
    stopped = mpirobust.run(stopping, tmp_path / "out")
    assert (stopped.status, stopped.summary["rounds"]) == ("interrupted", 4)
    whole = mpirobust.run(stopping, tmp_path / "out", resume=True)
    undisturbed = mpirobust.run(mpirobust.load_plan({**table, "aggregator": {"kind": "mean"}}), tmp_path / "other")
    assert whole.status == "finished"
    assert whole.x.tobytes() == undisturbed.x.tobytes()


def test_a_run_that_diverges_is_a_result(plan: mpirobust.Plan, tmp_path: Path) -> None:
    fast = mpirobust.load_plan(plan.table(), algorithm={"step": 1e200})
    assert mpirobust.run(fast, tmp_path).status == "diverged"


def test_a_worker_that_fails_is_a_fault(plan: mpirobust.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(Worker, "_answer", fail)
    with pytest.raises(
        mpirobust.Fault, match="worker 0 failed in round 1: RuntimeError: the disk is on fire"
    ) as caught:
        mpirobust.run(plan, tmp_path)
    assert caught.value.code == mpirobust.Exit.WORKER


def test_blas_gets_its_threads_back(plan: mpirobust.Plan, tmp_path: Path) -> None:
    def threads() -> list[int]:
        return [each["num_threads"] for each in ThreadpoolController().info() if each["user_api"] == "blas"]

    with ThreadpoolController().limit(limits=2):
        before = threads()
        mpirobust.run(plan, tmp_path)
        assert threads() == before


def test_only_the_main_thread_runs(plan: mpirobust.Plan, tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            mpirobust.run(plan, tmp_path)
        except mpirobust.Fault as fault:
            raised.append(fault)

    thread = Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "works in the main thread only" in str(raised)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"resume": True, "overwrite": True}, "overwrite: it excludes resume"),
        ({"time_limit": "soon"}, "time_limit: 'soon' is no time limit"),
        ({"time_limit": 90}, "time_limit: '90' is no time limit: write 4h"),
        ({"round_timeout": "90s"}, "round_timeout: expected a positive number of seconds, not '90s'"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, not 0"),
        ({"out": 5}, "out: expected a path, not 5"),
        ({"out": ""}, "out: expected a path, not an empty text"),
        ({"plan": 5}, "expected the file of a plan, a table, a plan or a run, not 5"),
    ],
)
def test_a_wrong_argument_is_named(plan: mpirobust.Plan, keys: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(mpirobust.PlanFault, match=f"^{says}"):
        mpirobust.run(**{"plan": plan, "out": tmp_path / "out", **keys})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_run_prints_no_note(
    quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the data, of the folder, of the progress; only of damage."""
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    np.savez(tmp_path / "rows.npz", X=np.random.default_rng(1).normal(size=(10, 2)), y=np.arange(10) % 2)
    plan = regression_plan(
        data={"kind": "npz", "path": str(tmp_path / "rows.npz"), "split": 0.99},
        problem={"kind": "logistic"},
        algorithm={"kind": "first-order", "rounds": 4, "step": 0.1},
        checkpoint={"every": 1},
        observers={"progress": {"every_seconds": 0}},
    )
    mpirobust.run(plan, tmp_path / "out", resume=True, quiet=quiet)
    said = capsys.readouterr().err
    told = ["data.split = 0.99 of 10 rows", "holds no run to resume", "round 4/4"]
    assert [part for part in told if part in said] == ([] if quiet else told)
    assert bool(said) != quiet
    [*_, newest] = sorted((tmp_path / "out").glob("checkpoint-*.h5"))
    newest.write_bytes(newest.read_bytes()[:-9])
    mpirobust.run(plan, tmp_path / "out", resume=True, quiet=quiet)
    assert f"passed over {newest}" in capsys.readouterr().err


def test_a_quiet_run_says_why_it_ends_early(
    plan: mpirobust.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mpirobust.run(plan, tmp_path, time_limit="2s").status == "interrupted"
    assert capsys.readouterr().err.startswith("no round fits into --time-limit 2s: ")


def test_what_a_plan_lacks_is_a_fault(plan: mpirobust.Plan, tmp_path: Path) -> None:
    with pytest.raises(mpirobust.SetupFault, match="workers: 100 workers for 60 training rows"):
        mpirobust.run(mpirobust.load_plan(plan.table(), workers=100), tmp_path)
    with pytest.raises(mpirobust.SetupFault, match=f"no run at {tmp_path}"):
        mpirobust.open_run(tmp_path / "none")


def test_a_run_that_goes_on_is_opened_as_it_was_last_written(plan: mpirobust.Plan, tmp_path: Path) -> None:
    """Also with no round yet. An older state stays what it was when the file is written anew."""
    trace, path = Trace(plan.workers, plan.byzantine(), {"plan": plan.toml()}), tmp_path / TRACE
    trace.write(path, "running", 0, np.zeros(8))
    first = mpirobust.open_run(path)
    assert (first.status, first.rounds["kept"].shape, first.summary["writer"]) == ("running", (0, 6), "unknown")
    for t in range(2):
        row = trace.rounds.append()
        row["round"], row["bytes_up"] = t + 1, 10
    trace.write(path, "running", 2, np.ones(8))
    assert (first.x == 0).all()
    second = mpirobust.open_run(tmp_path)
    assert second.rounds["bytes_up"].tolist() == [10, 10]
    assert (second.x == 1).all()


def test_a_file_of_an_earlier_version(plan: mpirobust.Plan, tmp_path: Path) -> None:
    run = mpirobust.run(plan, tmp_path)

    with resealed(run.path) as file:
        for table in ("rounds", "audits"):
            for name in LATER.keys() & file[table].keys():
                del file[table][name]
    old = mpirobust.open_run(run.path)
    for now, then in ((run.rounds, old.rounds), (run.audits, old.audits)):
        assert {name: (column.shape, column.dtype) for name, column in now.items()} == {
            name: (column.shape, column.dtype) for name, column in then.items()
        }
    assert np.isnan(old.audits["auc"]).all()
    assert not old.rounds["absent"].any()


def test_the_table_is_a_data_frame(plan: mpirobust.Plan, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    run = mpirobust.run(plan, tmp_path)
    table = run.table()
    assert table.index.name == "round"
    assert table.index.tolist() == list(range(9))
    assert table["bytes_up"].tolist() == [0, *run.rounds["bytes_up"]]
    assert table["loss"].dropna().tolist() == run.audits["loss"].tolist()
    assert table["loss"].dropna().index.tolist() == [0, 3, 6, 8]
    assert table["kept"].tolist() == [0] + [4] * 8
    byzantine = run.rounds["kept"][:, run.byzantine].sum(axis=1)
    assert table["byzantine_kept"].tolist() == [0, *byzantine]
    assert str(table["escape"].dtype) == "bool"


def test_without_pandas_the_message_names_it(
    plan: mpirobust.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = mpirobust.run(plan, tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"table\(\) needs pandas .*: pip install 'mpirobust\[pandas\]'"):
        run.table()
