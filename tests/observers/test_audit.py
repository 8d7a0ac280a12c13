"""The distance that is audited is that to the nearest solution; and a loss at the end may be absurd."""

from __future__ import annotations

from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.first_order import Iterate
from mpirobust.cluster.base import Audit
from mpirobust.comm.local import LocalCommunicator
from mpirobust.observers.audit import Auditor, Audits
from mpirobust.observers.base import Moment, Status
from mpirobust.records.trace import Trace
from mpirobust.reports.summary import as_text, summary
from mpirobust.round_times import RoundTimes
from mpirobust.running.experiment import run
from mpirobust.running.setup import RunRequest
from mpirobust.stop_rules import StopRules
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Vector
from tests.support.traces import assert_same


def audited(problem: dict[str, Any], x: Vector) -> float:
    local = LocalRun(regression_plan(problem=problem))
    w = local.dataset.solution()
    assert w is not None
    trace = Trace(6, np.zeros(0, np.intp), {})
    auditor = Auditor(Audits(), StopRules(), trace, local.plan.problem.solutions(w))
    auditor.before_first_round(Moment(0, Iterate(x, 0, 0.0), local.cluster))
    return float(trace.audits.rows[-1]["distance"])


W = LocalRun(regression_plan()).dataset.solution()
OFF = 0.1 * np.eye(8)[2]


@pytest.mark.parametrize(("kind", "signs"), [("least-squares", [1]), ("phase-retrieval", [1, -1])])
def test_to_the_nearest_solution(kind: str, signs: list[int]) -> None:
    assert W is not None
    for sign in signs:
        assert audited({"kind": kind}, sign * W + OFF) == pytest.approx(0.1)
    assert audited({"kind": "least-squares"}, -W) == pytest.approx(2 * np.linalg.norm(W))


@pytest.mark.parametrize("columns", [1, 3])
def test_a_problem_that_the_solution_says_nothing_of_has_none(columns: int) -> None:
    assert isnan(audited({"kind": "matrix-factorisation", "columns": columns}, np.ones(8 * columns)))


def test_what_the_next_answers_need_of_it_counts_as_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRun(regression_plan())
    monkeypatch.setattr(local.cluster, "audit", lambda _: Audit(1.0, 1.0, ahead=5.0))
    moment = Moment(1, Iterate(local.x0, 1, 0.0), local.cluster, times=RoundTimes(compute=2.0))
    Auditor(Audits(), StopRules(), Trace(6, np.zeros(0, np.intp), {})).after_round(moment)
    assert moment.times == RoundTimes(compute=7.0)


@pytest.mark.parametrize(
    ("audits", "status"),
    [
        ([(0, 5.0), (9, 1e183)], Status.DIVERGED),
        ([(0, 5.0), (9, 5.1e6)], Status.DIVERGED),
        ([(0, 5.0), (9, 4.9e6)], None),
        ([(0, 1e-9), (9, 1e5)], None),  # a start beside the solution says nothing of what is large
        ([(0, 1e-9), (9, 2e6)], Status.DIVERGED),
        ([(0, -2.0), (9, 3e6)], Status.DIVERGED),
        ([(0, -2.0), (9, -1e183)], None),  # unbounded below
        ([(0, 5.0), (5, 1e183), (9, 4.0)], None),  # it came back
        ([(0, 1e12), (9, 9e17)], None),
        ([(3, 5.0), (9, 1e183)], None),  # round 0 was not audited
        ([(0, 5.0), (9, inf)], Status.DIVERGED),
        ([(0, 5.0), (9, nan)], Status.DIVERGED),
        ([(9, inf)], Status.DIVERGED),
    ],
)
@pytest.mark.parametrize("ended", [Status.FINISHED, Status.CONVERGED, Status.INTERRUPTED])
def test_an_absurd_loss_at_the_end_is_divergence(
    ended: Status, audits: list[tuple[int, float]], status: Status | None
) -> None:
    local, trace = LocalRun(regression_plan()), Trace(6, np.zeros(0, np.intp), {})
    for round, loss in audits:
        row = trace.audits.append()
        row["round"], row["loss"] = round, loss
    moment = Moment(9, Iterate(local.x0, 0, 0.0), local.cluster)
    found = Auditor(Audits(), StopRules(), trace).final_queries(moment, ended)
    assert found == (None if ended is Status.INTERRUPTED else status)


def test_it_ends_no_run_and_a_resume_has_the_loss_of_the_start(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    algorithm = {"kind": "first-order", "step": 20.0}
    path.write_text(regression_plan(algorithm={**algorithm, "rounds": 60}, checkpoint={"every": 8}).toml())

    def ends(out: str, rounds: int, resume: bool = False) -> int:
        keys = (f"algorithm.rounds={rounds}",)
        return run(RunRequest(path, keys, tmp_path / out, resume, quiet=True), LocalCommunicator())[0]

    assert ends("whole", 60) == 3
    figures = summary(tmp_path / "whole")
    assert (figures["status"], figures["rounds"]) == ("diverged", 60)
    assert 1e20 < figures["loss"] < inf
    assert "diverged after 60 rounds" in as_text(figures, path)
    assert f"the loss at the start was {figures['loss_at_start']:.6g}" in as_text(figures, path)
    assert ends("cut", 20) == 3
    assert ends("cut", 60, resume=True) == 3
    assert_same(tmp_path / "whole", tmp_path / "cut", "diverged")
