"""Logistic regression (P2 §4 (a))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mpirobust.components import Field, component
from mpirobust.errors import PlanFault
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class Logistic(Loss):
    """`1/n Σ log(1 + exp(-y_i x_iᵀw)) + λ/(2N) ||w||²`, N all training rows (P2 §4 (a)).

    Classes 0 and 1 (the smaller and the larger label of the data) become y = -1 and +1.

    Attributes:
        l2: λ, the weight of the regulariser.
    """

    l2: Annotated[float, Field(ge=0)] = 1.0

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return np.zeros(features)

    def admit(self, classes: int) -> None:
        if classes != 2:
            raise PlanFault("kind", f"needs two classes; the data have {classes or 'real targets'}")

    def value(self, x: Vector, shard: Shard) -> float:
        return self._value(x, shard, _margins(x, shard))

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        return self._gradient(x, shard, _margins(x, shard))

    def value_and_gradient(self, x: Vector, shard: Shard) -> tuple[float, Vector]:
        margins = _margins(x, shard)
        return self._value(x, shard, margins), self._gradient(x, shard, margins)

    def _value(self, x: Vector, shard: Shard, margins: Vector) -> float:
        return float(np.logaddexp(0, -margins).mean() + 0.5 * self.l2 / shard.total * (x @ x))

    def _gradient(self, x: Vector, shard: Shard, margins: Vector) -> Vector:
        slope = (1 - 2 * shard.y) * expit(-margins) / shard.rows
        g: Vector = shard.XT @ slope + (self.l2 / shard.total) * x
        return g

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        p = expit(shard.X @ x)
        weight = p * (1 - p) / shard.rows
        ridge = self.l2 / shard.total
        return lambda v: shard.XT @ (weight * (shard.X @ v)) + ridge * v

    def curvature(self) -> Callable[[Shard], float] | None:
        return lambda shard: shard.gram_norm / 4 + self.l2 / shard.total  # p (1 - p) <= 1/4

    def bounds(self) -> Bounds:
        """Return bounds; of a row, p <= 1 and |p (1-p) (1-2p)| <= 1/(6√3). The regulariser's slope has none."""
        return Bounds(
            value=0.0,
            slope=None if self.l2 else lambda shard: sqrt(shard.gram_norm),
            twist=lambda shard: shard.gram_norm * shard.longest_row / (6 * sqrt(3)),
        )

    def metrics(self, x: Vector, shard: Shard) -> Mapping[str, float]:
        guess = (shard.X @ x) > 0
        return {"correct": float(np.count_nonzero(guess == (shard.y == 1))), "rows": float(shard.rows)}

    def class_scores(self, x: Vector, shard: Shard) -> NDArray[np.float64]:
        return np.column_stack((np.zeros(shard.rows), shard.X @ x))


def _margins(x: Vector, shard: Shard) -> Vector:
    """Return y_i x_iᵀw."""
    margins: Vector = (2 * shard.y - 1) * (shard.X @ x)
    return margins
