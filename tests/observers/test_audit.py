"""The distance that is audited is that to the nearest solution."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.first_order import Iterate
from mpirobust.observers.audit import Auditor, Audits
from mpirobust.observers.base import Moment
from mpirobust.records.trace import Trace
from mpirobust.stop_rules import StopRules
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Vector


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
