from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from mpirobust.aggregators._geometry import Weights, measured
from mpirobust.aggregators.base import Aggregator, Fraction, Verdict, share
from mpirobust.component import component
from mpirobust.errors import PlanFault
from mpirobust.inbox import Answers


@component
class CAF(Aggregator):
    """The covariance-bound-agnostic filter, f = ⌈βm⌉ (Allouah, Guerraoui, Stephan 2025, Alg. 2).

    The n sound messages begin with weight one. Again and again the direction is found in which they
    are spread most, and each loses the share `τ_i / max τ` of its weight, τ_i being the square
    of its distance from the weighted mean along that direction, until n - 2f of the weight is
    left. Of the means met on the way the step is the one whose largest spread is smallest.
    Who moves the mean shows as spread along one direction, while that of honest shards of
    like data is divided over all of them. The verdict keeps what has weight left.
    """

    beta: Fraction

    def admit(self, workers: int, byzantine: int) -> None:
        if 2 * share(self.beta, workers) >= workers:
            raise PlanFault("beta", f"{self.beta} of {workers} workers, rounded up, is no minority")

    def judge(self, inbox: Answers) -> Verdict:
        workers, gram = measured(inbox)
        weights = np.zeros(len(inbox))
        if workers.size:
            weights[workers] = _filtered(gram, share(self.beta, len(inbox)))
        return Verdict(inbox.combine(weights), weights > 0)

    def tolerates(self) -> float | None:
        return self.beta


def _filtered(gram: NDArray[np.float64], f: int) -> Weights:
    n = gram.shape[0]
    left, smallest, point = np.ones(n), np.inf, np.full(n, 1 / n)
    while left.sum() > max(n - 2 * f, 0):
        spread, strays = _widest(gram, left)
        if spread < smallest:
            smallest, point = spread, left / left.sum()
        if not strays.max() > 0:
            break
        left = left * (1 - strays / strays.max())
    return point


def _widest(gram: NDArray[np.float64], left: Weights) -> tuple[float, NDArray[np.float64]]:
    """The largest eigenvalue of the weighted covariance, and (x_i - mean)² along its direction; 0 without weight.

    The covariance has the eigenvalues of the weighted, centered Gram matrix.
    """
    rows = np.flatnonzero(left)
    p = left[rows] / left[rows].sum()
    gram = gram[np.ix_(rows, rows)]
    products = gram @ p
    centered = gram - products[:, None] - products + p @ products
    unit = float(np.abs(centered).max()) or 1.0  # squares of far outliers would overflow
    root = np.sqrt(p)
    value, vector = eigh(root[:, None] * (centered / unit) * root, subset_by_index=[rows.size - 1, rows.size - 1])
    strays = np.zeros(left.size)
    if value[0] > 0:
        strays[rows] = ((centered / unit) @ (root * vector[:, 0])) ** 2
    return unit * float(value[0]), strays
