from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators._around import Around, Clipped, expect_stronger
from mpirobust.aggregators.base import Aggregator, Context, Fraction, Verdict, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class ARC(Around):
    """Adaptive robust clipping before another rule, f = ⌈βm⌉ (Allouah et al. 2025, Alg. 2).

    The k = ⌊2 f (n - f) / n⌋ longest of n sound messages are shortened to the length of the next. As k >= f, no message
    is then longer than the longest honest one, and the rule keeps its (f, κ) guarantee with κ + 2f / (n - 2f).
    Lengths are those by which the plan sorts messages (`q`, and the claims of Option I).

    Attributes:
        beta: β, the largest fraction of Byzantine workers that the rule is set for.
        rule: the rule that judges the clipped messages.
    """

    beta: Fraction
    rule: Aggregator

    def admit(self, workers: int, byzantine: int) -> None:
        expect_stronger(self.rule, self.beta, workers, "clipping")
        super().admit(workers, byzantine)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        ascending = np.sort(answers.norms[answers.sound])
        n, f = ascending.size, min(share(self.beta, len(answers)), ascending.size)
        longest = float(ascending[n - 1 - 2 * f * (n - f) // n]) if n else 0.0
        return self.rule.judge(Clipped(answers, longest), memory, context)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        inner = self.rule.kappa(workers, f)
        return None if inner is None or byzantine > f else inner + 2 * f / (workers - 2 * f)
