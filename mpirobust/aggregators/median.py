from __future__ import annotations

from mpirobust.aggregators._columns import coordinate_wise, weighted_median
from mpirobust.aggregators.base import Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.component import component


@component
class Median(Weighing):
    """The median of the sound messages, coordinate by coordinate (Yin et al. 2018, Option I).

    Of an even number, the mean of the two in the middle; with weights, where half of the weight is reached.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        pass

    def judge(self, inbox: Answers) -> Verdict:
        sound = inbox.sound
        weights = inbox.weights[sound]
        return coordinate_wise(inbox, sound, lambda block: weighted_median(block, weights))

    def tolerates(self) -> float | None:
        return 0.5
