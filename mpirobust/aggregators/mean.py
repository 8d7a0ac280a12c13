from __future__ import annotations

from mpirobust.aggregators.base import Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.component import component


@component
class Mean(Weighing):
    """The mean of all sound messages: vanilla averaging, the undefended baseline (P1 §8)."""

    def admit(self, workers: int, byzantine: int) -> None:
        pass

    def judge(self, inbox: Answers) -> Verdict:
        return Verdict(inbox.average(inbox.sound), inbox.sound)

    def tolerates(self) -> float | None:
        return None
