"""A rule, asked outside of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators.base import Aggregator, Context, Oracle, Verdict
from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.answers import Answers
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.shard import Shard


def judged(rule: Aggregator, answers: Answers, memory: Any = None) -> Verdict:
    """The verdict on these answers, as in the first round unless there is a memory."""
    return rule.judge(answers, memory, context_of(rule, answers))


def context_of(rule: Aggregator, answers: Answers) -> Context:
    """The first round; at zero, with a row of the center's own, if the rule asks for one."""
    if not rule.asks_center():
        return Context()
    return Context(0, Query((np.zeros(answers.dim),), scale=answers.scale), oracle=oracle(answers.dim))


def oracle(dim: int) -> Oracle:
    """A row of the center's own, of normal numbers; the gradient at zero is minus that row."""
    row = np.random.default_rng(5).standard_normal((1, dim))
    return Oracle(LeastSquares(), Shard.of(row, np.ones(1), 0, 1), FirstOrder(rounds=1, step=1.0))
