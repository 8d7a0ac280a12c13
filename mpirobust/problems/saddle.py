from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mpirobust.components import component
from mpirobust.errors import PlanFault
from mpirobust.problems._saddles import Away, mean_row, point_at
from mpirobust.problems.base import Bounds, Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class Saddle(Loss):
    """`c (w_1² + ... + w_{d-1}² - w_d²) + āᵀw`, c the mean target and ā the mean row of a shard (P2 §4, the toy).

    Two workers with the rows of the data kind `none` in two dimensions have the paper's
    f_1 (c = 1) and f_2 (c = 2); the objective is their mean, half of the paper's sum. It has no minimum:
    a run has escaped if the loss is well below 0, and `stop.loss` ends it there.

    Attributes:
        start_norm: norm of the starting point; 0 is the saddle itself.
    """

    start_norm: Away = 0.01

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return point_at(self.start_norm, features, rng)

    def admit(self, classes: int) -> None:
        if classes:
            raise PlanFault("kind", f"the targets are curvatures; the data have {classes} classes")

    def value(self, x: Vector, shard: Shard) -> float:
        return float(0.5 * x @ (self._curvatures(x, shard) * x) + mean_row(shard) @ x)

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        g: Vector = self._curvatures(x, shard) * x + mean_row(shard)
        return g

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        curvatures = self._curvatures(x, shard)
        return lambda v: curvatures * v

    def curvature(self) -> Callable[[Shard], float] | None:
        return lambda shard: 2 * abs(float(shard.y.mean()))

    def bounds(self) -> Bounds:
        return Bounds(twist=lambda _: 0.0)

    def _curvatures(self, x: Vector, shard: Shard) -> Vector:
        """Return the diagonal of the Hessian: 2c, and -2c at the end."""
        curvatures = np.full(x.size, 2 * float(shard.y.mean()))
        curvatures[-1] *= -1
        return curvatures
