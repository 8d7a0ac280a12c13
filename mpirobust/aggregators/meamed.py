from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._columns import coordinate_wise, mean_around_median, ordered
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class MeaMed(SetForBeta):
    """Coordinate by coordinate, the mean of the n - f values nearest to the median, f = ⌈βm⌉ (Xie et al. 2018).

    n is the number of sound messages. A value may lie beyond the honest ones, but no further from their median than
    the farthest of them.
    """

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        f = share(self.beta, len(answers))

        def nearest(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return mean_around_median(ordered(block), max(block.shape[0] - f, 1))

        return coordinate_wise(answers, answers.sound, nearest)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f, half = share(self.beta, workers), (workers - 1) // 2
        of_median = half / (workers - f - half)
        return 4 * f / (workers - f) * (1 + of_median) if byzantine <= f else None
