from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mpirobust.components import component
from mpirobust.problems._saddles import Away, mean_row, point_at
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class DoubleWell(Loss):
    """`1/4 x_1⁴ - 1/2 x_1² + 1/2 (x_2² + ... + x_d²) + āᵀx`, ā the mean row of a shard.

    Without the tilt: a strict saddle at 0 of value 0, where the Hessian is diag(-1, 1, ..., 1),
    and two minima ±e_1 of value -1/4, with nothing but the x_1 axis between them. A run has escaped if |x_1| > 1/2.

    Attributes:
        start_norm: norm of the starting point; 0 is the saddle itself.
    """

    start_norm: Away = 0.01

    def dim(self, features: int) -> int:
        return features

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return point_at(self.start_norm, features, rng)

    def value(self, x: Vector, shard: Shard) -> float:
        well = x[0] ** 4 / 4 - x[0] ** 2
        return float(well + x @ x / 2 + mean_row(shard) @ x)

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        g: Vector = x + mean_row(shard)
        g[0] += x[0] ** 3 - 2 * x[0]
        return g

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        curvatures = np.ones(x.size)
        curvatures[0] = 3 * x[0] ** 2 - 1
        return lambda v: curvatures * v
