from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._subsets import expect_few, tightest_mean
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import component

_ROUNDING = 1e-9  # relative; of a lower bound


@component
class SMEA(SetForBeta, Weighing):
    """Smallest-maximum-eigenvalue averaging (Allouah et al. 2023, *On the privacy-robustness-utility trilemma*).

    The mean of the n - f sound messages, f = ⌈βm⌉, whose covariance has the smallest largest eigenvalue. All subsets
    are tried: a plan with more than 50,000 of them is refused. Whatever f of the messages are, the squared distance
    from the mean of the others is at most 4f / (n - 2f) times the largest eigenvalue of theirs: of k points with
    variance λ along a line, those left without f have a mean within √(λ f / (k - f)) of theirs, here on both sides.
    `caf` comes near it at the cost of at most n eigenvectors.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        super().admit(workers, byzantine)
        expect_few(self.beta, workers)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        return tightest_mean(answers, self.beta, _largest_eigenvalue)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        return 4 * f / (workers - 2 * f) if byzantine <= f else None


def _largest_eigenvalue(grams: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Times the number of messages; the covariance has the eigenvalues of the centered Gram matrix.

    It is computed where a lower bound, a Rayleigh quotient, does not already exceed the least.
    """
    products = grams.mean(axis=2, keepdims=True)
    centered = grams - products - products.transpose(0, 2, 1) + products.mean(axis=1, keepdims=True)
    unit = np.abs(centered).max(axis=(1, 2))  # squares of far outliers would overflow
    unit[unit == 0] = 1.0
    centered /= unit[:, None, None]
    bounds = unit * _rayleigh(centered) * (1 - _ROUNDING)
    found = np.full(unit.size, np.inf)
    first = int(bounds.argmin())
    least = min(least, float(unit[first] * np.linalg.eigvalsh(centered[first])[-1]))
    asked = bounds <= least
    found[asked] = unit[asked] * np.linalg.eigvalsh(centered[asked])[:, -1]
    return found[None]


def _rayleigh(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each matrix, with entries up to 1, a Rayleigh quotient near the largest eigenvalue."""
    powers = matrices
    for _ in range(3):
        powers = powers @ powers
    columns = np.diagonal(powers, axis1=1, axis2=2).argmax(axis=1)  # eight steps of the power iteration
    v = np.take_along_axis(powers, columns[:, None, None], axis=2)
    squares = (v * v).sum(axis=(1, 2))
    return np.asarray((v * (matrices @ v)).sum(axis=(1, 2)) / np.where(squares > 0, squares, 1.0))
