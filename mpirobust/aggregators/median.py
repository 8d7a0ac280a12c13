from __future__ import annotations

from typing import Any

from mpirobust.aggregators._columns import coordinate_wise, weighted_median
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
        return coordinate_wise(answers, sound, lambda block: weighted_median(block, weights))

    def tolerates(self) -> float | None:
        return 0.5
