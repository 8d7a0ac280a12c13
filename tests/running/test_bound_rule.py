"""What the round loop gives to the aggregation rule: its own memory, and where in the run it is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.noting import Note, Noting
from mpirobust.testing.support.witness import ran

ALGORITHMS: dict[str, dict[str, Any]] = {
    "one question": {"kind": "first-order", "rounds": 8, "step": 0.1},
    "two questions in turn": {"kind": "cubic-newton", "rounds": 8, "M": 10.0, "two_rounds": True},
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_rule_has_the_memory_of_its_last_verdict_on_such_a_question(name: str) -> None:
    rule = Noting()
    plan = replace(regression_plan(algorithm=ALGORITHMS[name]), aggregator=rule)
    moments = ran(LocalRun(plan)).moments
    kinds, last = [], dict[int, Note]()
    for t, (memory, context) in enumerate(rule.asked):
        assert isinstance(context.query, Query)
        assert (context.round, context.seed, context.oracle) == (t, plan.seed, None)
        np.testing.assert_array_equal(context.query.vectors[0], plan.algorithm.query(moments[t].state).vectors[0])
        kind = context.query.kind
        assert memory == last.get(kind)
        last[kind] = Note(t)
        assert moments[t + 1].memories == last
        kinds.append(kind)
    assert len(rule.asked) == 8
    assert kinds == ([0] * 8 if name == "one question" else [kinds[0], 1 - kinds[0]] * 4)
