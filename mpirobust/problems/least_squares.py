"""Linear regression (P1 §8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class LeastSquares(Loss):
    """`1/(2n) ||X w - y||²` over the n rows of a shard (P1 §8; the paper leaves the scaling open)."""

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return np.zeros(features)

    def admit(self, classes: int) -> None:
        if classes > 2:
            raise PlanFault("kind", f"needs real targets or two classes; the data have {classes} classes")

    def value(self, x: Vector, shard: Shard) -> float:
        r = shard.X @ x - shard.y
        return float(r @ r) / (2 * shard.rows)

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        g: Vector = shard.XT @ ((shard.X @ x - shard.y) / shard.rows)
        return g

    def value_and_gradient(self, x: Vector, shard: Shard) -> tuple[float, Vector]:
        r = shard.X @ x - shard.y
        return float(r @ r) / (2 * shard.rows), shard.XT @ (r / shard.rows)

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        return lambda v: shard.XT @ ((shard.X @ v) / shard.rows)

    def curvature(self) -> Callable[[Shard], float] | None:
        return lambda shard: shard.gram_norm

    def bounds(self) -> Bounds:
        return Bounds(value=0.0, twist=lambda _: 0.0)

    def solutions(self, w: Vector) -> Sequence[Vector]:
        return (w,)
