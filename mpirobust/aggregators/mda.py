from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._subsets import expect_few, tightest_mean
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class MDA(SetForBeta, Weighing):
    """Minimum-diameter averaging: the mean of the n - f messages of smallest diameter (El Mhamdi et al. 2020).

    n is the number of sound messages, f = ⌈βm⌉. Of subsets of the same diameter, it is the one whose squared distances
    have the smallest sum. All are tried: a plan with more than 50,000 of them is refused. The mean is within
    2f / (n - f) diameters of the honest messages of their mean.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        super().admit(workers, byzantine)
        expect_few(self.beta, workers)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        return tightest_mean(answers, self.beta, _diameter)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        return 8 * f**2 / (workers - f) if byzantine <= f else None


def _diameter(grams: NDArray[np.float64], _: float) -> NDArray[np.float64]:
    squares = np.diagonal(grams, axis1=1, axis2=2)
    distances = np.maximum(squares[:, :, None] + squares[:, None, :] - 2 * grams, 0.0)
    return np.stack([distances.max(axis=(1, 2)), distances.sum(axis=(1, 2))])
