"""The cost of an audit, in rounds, measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import floor, inf
from time import thread_time

import numpy as np

from mpirobust.cluster.worker import Worker
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.data.sources.base import Dataset
from mpirobust.numerics import blas
from mpirobust.reports.constants import Start
from mpirobust.running.setup import worker_config
from mpirobust.types import Rows, Vector

_WORKERS = 64  # at most
_SHARE = 0.2  # of the time
_REPEATS = 7
_ENOUGH = 1.0  # seconds


class _Flat:
    """Stands in for the objective where an algorithm asks for its smoothness: the step size costs nothing."""

    def smoothness(self, x: Vector) -> float:
        return 1.0


def audit_cost(start: Start, dataset: Dataset, dealt: Sequence[Rows]) -> str:
    """Run the first round of some honest workers with and without an audit before it; return the finding as text.

    The work of the center, and audits of the curvature, are not in it.
    """
    plan, group, rounds = start.plan, _group(start, dataset, dealt), count()
    query = plan.algorithm.query(plan.algorithm.start(start.x, _Flat()))

    def asked() -> None:
        group.reply(next(rounds), query)

    def audited() -> None:
        group.audit(start.x)
        if metrics := plan.audit.metrics:
            group.tested(start.x, by_row={*metrics} != {"test_loss"})
        asked()

    blas.limit_threads()
    with np.errstate(over="ignore", invalid="ignore"):
        round, both = _seconds(asked, audited)
        return said(max(0.0, both / round - 1), plan.audit.every)


def said(cost: float, every: int) -> str:
    """Return the finding as text.

    Args:
        cost: of an audit, in rounds.
        every: rounds from audit to audit.
    """
    share = cost / (every + cost)
    enough = floor(cost / _SHARE - cost) + 1
    remedy = "" if share < _SHARE else f"; audit.every = {enough} makes that less than {_SHARE:.0%}"
    return f"costs a worker {cost:.2g} rounds, measured here and now: {share:.0%} of its time{remedy}"


def _group(start: Start, dataset: Dataset, dealt: Sequence[Rows]) -> WorkerGroup:
    plan = start.plan
    config = worker_config(plan, start.layout, plan.weights(dealt), start.x, {})
    tests = np.array_split(np.arange(dataset.facts.test_rows), len(dealt))
    workers = []
    for at in start.honest[:_WORKERS]:
        rows = tests[start.workers[at]]
        workers.append(Worker(start.workers[at], config, start.shards[at], dataset.test(rows) if rows.size else None))
    return WorkerGroup(config, workers, lambda _: ())


def _seconds(*works: Callable[[], None]) -> list[float]:
    """Return the least CPU time of each, in seconds, over a few turns after one that fills the caches."""
    least, began = [inf] * len(works), thread_time()
    for turn in range(_REPEATS):
        for at, work in enumerate(works):
            start = thread_time()
            work()
            if turn:
                least[at] = min(least[at], thread_time() - start)
        if turn and thread_time() - began > _ENOUGH:
            break
    return least
