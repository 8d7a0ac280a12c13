from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.attacks._perturbed import Perturbed, positive_root
from mpirobust.components import component


@component
class MinSum(Perturbed):
    """All send the honest mean plus γp, with no larger sum of squared distances than an honest answer has.

    Shejwalkar, Houmansadr 2021, §V-B-3: γ is the largest with Σ_i ||mean + γp - x_i||² <= max_i Σ_j ||x_i - x_j||²,
    the root of one quadratic equation. Directions, code and strength are as in `min-max`.
    """

    def root(
        self, a: float, slopes: NDArray[np.float64], to_mean: NDArray[np.float64], between: NDArray[np.float64]
    ) -> float:
        most = between.sum(axis=1).max() - to_mean.sum()
        return positive_root(a * slopes.size, float(slopes.sum()), most)
