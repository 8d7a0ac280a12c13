from __future__ import annotations

from typing import Any

from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class Mean(Weighing):
    """The mean of all sound messages: vanilla averaging, the undefended baseline (P1 §8)."""

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        sound = answers.sound
        return Verdict(answers.average(sound), sound)

    def tolerates(self) -> float | None:
        return None

    def kappa(self, workers: int, byzantine: int) -> float | None:
        return None if byzantine else 0.0

    def trims(self, workers: int) -> int | None:
        return 0  # norm-trim with β = 0
