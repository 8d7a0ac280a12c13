from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.problems._saddles import Away, point_at
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class PhaseRetrieval(Loss):
    """`1/(4n) Σ ((x_iᵀw)² - y_i²)²`: linear regression from the squares of the targets (Sun et al. 2016).

    On rows of the data kind `regression` without noise, w* and -w* are the minima, of value 0; 0 is a maximum
    from which every direction leads down, and the points w ⟂ w*, ||w|| = ||w*||/√3 are strict saddles in
    expectation over Gaussian rows.

    Attributes:
        start_norm: norm of the starting point; 0 is a maximum.
    """

    start_norm: Away = 0.01

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return point_at(self.start_norm, features, rng)

    def admit(self, classes: int) -> None:
        if classes > 2:
            raise PlanFault("kind", f"needs real targets or two classes; the data have {classes} classes")

    def value(self, x: Vector, shard: Shard) -> float:
        r = (shard.X @ x) ** 2 - shard.y**2
        return float(r @ r) / (4 * shard.rows)

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        u = shard.X @ x
        g: Vector = shard.XT @ ((u**2 - shard.y**2) * u / shard.rows)
        return g

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        weight = (3 * (shard.X @ x) ** 2 - shard.y**2) / shard.rows
        return lambda v: shard.XT @ (weight * (shard.X @ v))

    def bounds(self) -> Bounds:
        return Bounds(value=0.0)

    def solutions(self, w: Vector) -> Sequence[Vector]:
        return (w, -w)
