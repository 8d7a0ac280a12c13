"""Whole runs in this process, of which every moment is remembered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.base import Oracle
from mpirobust.cluster.worker import Worker
from mpirobust.observers.base import Moment, Status, Watch
from mpirobust.running import rounds
from mpirobust.testing.support.clusters import LocalRun
from mpirobust.types import Vector


class Witness(Watch):
    """Remembers every moment of a run."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.status: Status | None = None

    def before_first_round(self, moment: Moment) -> Status | None:
        self.moments.append(moment)
        return None

    def after_round(self, moment: Moment) -> Status | None:
        self.moments.append(moment)
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        assert moment is self.moments[-1]
        self.status = status

    @property
    def iterates(self) -> list[Vector]:
        return [moment.state.x for moment in self.moments]

    @property
    def kept(self) -> list[list[bool]]:
        return [moment.verdict.kept.tolist() for moment in self.moments[1:] if moment.verdict is not None]


def ran(local: LocalRun, *watches: Watch, oracle: Oracle | None = None) -> Witness:
    witness = Witness()
    plan = local.plan
    state = plan.algorithm.start(local.x0, local.cluster)
    watching = [witness, *watches]
    status = rounds.loop(plan.algorithm, plan.aggregator, local.cluster, watching, state, 0, plan.seed, oracle=oracle)
    assert witness.status is status
    return witness


def first_order(**fields: Any) -> dict[str, Any]:
    return {"kind": "first-order", "rounds": 30, "step": 0.1, **fields}


def gradient_descent(local: LocalRun, steps: list[float]) -> list[Vector]:
    """Plain gradient descent on the rows of all workers together."""
    pooled = local.dataset.train(np.arange(local.dataset.facts.rows))
    iterates = [local.x0]
    for step in steps:
        residual = pooled.X @ iterates[-1] - pooled.y
        iterates.append(iterates[-1] - step * (pooled.X.T @ residual) / pooled.rows)
    return iterates


def falls_silent(monkeypatch: pytest.MonkeyPatch, workers: list[Worker]) -> None:
    """In rounds 3 to 5 these workers send nothing."""
    for worker in workers:
        reply = worker.reply
        monkeypatch.setattr(
            worker,
            "reply",
            lambda t, *asked, reply=reply: (b"", 0.0, 0.0) if 3 <= t <= 5 else reply(t, *asked),
        )
