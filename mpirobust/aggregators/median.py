from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators._columns import coordinate_wise, equal, midpoint, weighted_median
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class Median(Weighing):
    """The median of the sound messages, coordinate by coordinate (Yin et al. 2018, Option I).

    Of an even number, the mean of the two in the middle; with weights, where half of the weight is reached.
    """

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        sound = answers.sound
        weights = answers.weights[sound]
        packed = answers.signs(np.flatnonzero(sound)) if sound.any() and equal(weights) else None
        if packed is not None:  # counted, not decoded: the same bits
            n = len(packed.rows)
            middle = [packed.order_statistic(place) for place in dict.fromkeys([(n - 1) // 2, n // 2])]
            return Verdict(midpoint(middle[0], middle[-1]), sound)
        return coordinate_wise(answers, sound, lambda block: weighted_median(block, weights))

    def tolerates(self) -> float | None:
        return 0.5

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = (workers - 1) // 2  # of the trimmed mean that the median is
        return f / (workers - byzantine - f) if byzantine <= f else None
