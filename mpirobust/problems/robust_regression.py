"""Non-convex robust linear regression (P2 §4 (b))."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class RobustRegression(Loss):
    """`1/n Σ log((y_i - x_iᵀw)²/2 + 1)` (P2 §4 (b)).

    Classes 0 and 1 (the smaller and the larger label of the data) are used as the
    targets y, as in P2; a row counts as class 1 if `x_iᵀw > 1/2`.
    """

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return np.zeros(features)

    def admit(self, classes: int) -> None:
        if classes > 2:
            raise PlanFault("kind", f"needs real targets or two classes; the data have {classes} classes")

    def value(self, x: Vector, shard: Shard) -> float:
        r = shard.X @ x - shard.y
        return float(np.log1p(r * r / 2).mean())

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        r = shard.X @ x - shard.y
        g: Vector = shard.XT @ (r / ((r * r / 2 + 1) * shard.rows))
        return g

    def value_and_gradient(self, x: Vector, shard: Shard) -> tuple[float, Vector]:
        r = shard.X @ x - shard.y
        half = r * r / 2
        return float(np.log1p(half).mean()), shard.XT @ (r / ((half + 1) * shard.rows))

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        r = shard.X @ x - shard.y
        half = r * r / 2
        weight = (1 - half) / ((half + 1) ** 2 * shard.rows)
        return lambda v: shard.XT @ (weight * (shard.X @ v))

    def curvature(self) -> Callable[[Shard], float] | None:
        return lambda shard: shard.gram_norm  # |weight| of a row is at most 1, where it fits

    def bounds(self) -> Bounds:
        """Return bounds; the first derivative of a row's loss is at most 1/√2, the third √2 cos⁴(π/8)."""
        return Bounds(
            value=0.0,
            slope=lambda shard: sqrt(shard.gram_norm / 2),
            twist=lambda shard: sqrt(2) * cos(pi / 8) ** 4 * shard.gram_norm * shard.longest_row,
        )

    def metrics(self, x: Vector, shard: Shard) -> Mapping[str, float]:
        if shard.classes == 0:
            return {}
        guess = (shard.X @ x) > 0.5
        return {"correct": float(np.count_nonzero(guess == (shard.y == 1))), "rows": float(shard.rows)}

    def class_scores(self, x: Vector, shard: Shard) -> NDArray[np.float64] | None:
        return np.column_stack((np.full(shard.rows, 0.5), shard.X @ x)) if shard.classes else None

    def solutions(self, w: Vector) -> Sequence[Vector]:
        return (w,)
