"""A loss with a saddle point, and runs on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust import center
from mpirobust.algorithms.base import State
from mpirobust.cluster.host import Host
from mpirobust.cluster.local import LocalCluster
from mpirobust.problems.base import Loss
from mpirobust.records import checkpoint
from mpirobust.records.trace import Trace
from mpirobust.types import Shard, Vector
from mpirobust.worker import Worker
from tests.teams import Team
from tests.test_center import Witness


@dataclass(frozen=True)
class Well(Loss):
    """`(x_0² - 1)²/4 + ||x_1...||²/2`: a strict saddle at the origin, minima at ±e_0; the rows do not matter."""

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return np.zeros(features)

    def admit(self, classes: int) -> None:
        pass

    def value(self, x: Vector, shard: Shard) -> float:
        return float((x[0] ** 2 - 1) ** 2 / 4 + x[1:] @ x[1:] / 2)

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        return np.concatenate(([x[0] ** 3 - x[0]], x[1:]))

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        return lambda v: np.concatenate(([(3 * x[0] ** 2 - 1) * v[0]], v[1:]))

    def metrics(self, x: Vector, shard: Shard) -> Mapping[str, float]:
        return {}


def well(plan: Any) -> Team:
    """The team of `plan` with the well for its loss; it starts on the saddle."""
    team = Team(plan)
    team.orders = replace(team.orders, loss=Well())
    team.workers = [Worker(each.index, team.orders, each.clean, None) for each in team.workers]
    team.cluster = LocalCluster(Host(team.orders, team.workers))
    return team


def went_on(team: Team, moment: Any, folder: Path) -> Witness:
    """The rest of a run, by another team, from a checkpoint at `moment`."""
    plan, rest = team.plan, Witness()
    tail = Trace(plan.workers, team.orders.byzantine, {}).tail()
    checkpoint.save(folder, moment.round, moment.state, team.cluster, tail, "plan")
    path = next(folder.glob(f"*{moment.round}.h5"))
    state: State = checkpoint.read(path, plan.algorithm.state, "plan").state
    center.run(plan.algorithm, plan.aggregator, team.cluster, [rest], state, moment.round, plan.seed)
    return rest
