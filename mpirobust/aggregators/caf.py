from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._columns import relative
from mpirobust.aggregators._geometry import Weights, measured, widest
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class CAF(SetForBeta, Weighing):
    """The covariance-bound-agnostic filter, f = ⌈βm⌉ (Allouah, Guerraoui, Stephan 2025, Alg. 2).

    The n sound messages begin with weight one. Again and again the direction is found in which they
    are spread most, and each loses the share `τ_i / max τ` of its weight, τ_i being the square
    of its distance from the weighted mean along that direction, until n - 2f of the weight is
    left. Of the means met on the way the step is the one whose largest spread is smallest.
    Who moves the mean shows as spread along one direction, while that of honest shards of
    like data is divided over all of them. The verdict keeps what has weight left.
    With `weigh = "rows"` a message begins with the weight of its worker over the mean weight.
    """

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        weights = np.zeros(len(answers))
        if workers.size:
            counts = relative(answers.weights[workers])
            weights[workers] = _filtered(gram, counts, share(self.beta, len(answers)))
        return Verdict(answers.combine(weights), weights > 0)


def _filtered(gram: NDArray[np.float64], counts: NDArray[np.float64], f: int) -> Weights:
    n = gram.shape[0]
    left, smallest, point = counts, np.inf, np.asarray(counts / n)
    while left.sum() > max(n - 2 * f, 0):
        spread, strays = widest(gram, left)
        if spread < smallest:
            smallest, point = spread, left / left.sum()
        if not strays.max() > 0:
            break
        left = left * (1 - strays / strays.max())
    return point
