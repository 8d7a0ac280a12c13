from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.attacks._perturbed import Perturbed, positive_root
from mpirobust.components import component


@component
class MinMax(Perturbed):
    """All send the honest mean plus γp, no farther from any honest answer than two honest answers are from each other.

    Shejwalkar, Houmansadr 2021, §V-B-2: γ is the largest with max_i ||mean + γp - x_i|| <= max_ij ||x_i - x_j||.
    That is the least of n roots of quadratic equations, whose coefficients are inner products: no search, and γ is
    feasible. The direction p is minus the mean (`unit`), minus the deviation (`std`) or minus the signs of the mean
    (`sign`). The code may move what is sent. The strength is γ, if it is given or tuned; it may then be outside.
    """

    def root(
        self, a: float, slopes: NDArray[np.float64], to_mean: NDArray[np.float64], between: NDArray[np.float64]
    ) -> float:
        widest = between.max()
        return min(positive_root(a, b, widest - c) for b, c in zip(slopes, to_mean, strict=True))
