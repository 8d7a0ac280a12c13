"""A plan's center and workers in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.aggregators.base import Context, bound
from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Exchange
from mpirobust.cluster.local import LocalCluster
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.plan import Plan
from mpirobust.running.setup import build_workers, worker_config
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Vector


def regression_plan(**changes: Any) -> Plan:
    """Least squares on 60 rows of 8 features over 6 honest workers; `changes` replace whole tables."""
    table: dict[str, Any] = {
        "seed": 5,
        "workers": 6,
        "data": {"kind": "regression", "rows": 60, "features": 8, "noise": 0.3},
        "problem": {"kind": "least-squares"},
        "algorithm": {"kind": "first-order", "rounds": 30, "step": 0.1},
        "aggregator": {"kind": "mean"},
    }
    return Plan.of({**table, **changes})


class LocalRun:
    """The parts of a run of `plan` in one process; `stores` are those of its data if they are files."""

    def __init__(self, plan: Plan, stores: Sequence[Path] = ()) -> None:
        self.plan = plan
        self.dataset = plan.data.open(list(stores), plan.seed)
        features = self.dataset.facts.features
        self.x0: Vector = plan.problem.start(features, stream(plan.seed, CENTER, 0, Purpose.START))
        dealt = plan.deal(self.dataset)
        self.config = worker_config(plan, plan.problem.layout(features), plan.weights(dealt), self.x0, {})
        self.workers = [*build_workers(range(plan.workers), self.config, self.dataset, dealt)]
        self.byzantine = np.isin(np.arange(plan.workers), self.config.byzantine)
        self.cluster = LocalCluster(WorkerGroup(self.config, self.workers, lambda _: []))

    def ask(self, round: int, query: Query) -> Exchange:
        """One exchange; the rule remembers nothing."""
        return self.cluster.ask(round, query, bound(self.plan.aggregator, None, Context(round, query, self.plan.seed)))

    def memories(self, round: int) -> dict[str, Generator[Vector, None, None]]:
        """The memories of the feedback before `round`, as a checkpoint takes them."""
        return {each.name: self.cluster.memory(each.name, round) for each in self.plan.feedback.memories()}
