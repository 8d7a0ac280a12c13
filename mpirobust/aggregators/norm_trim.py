from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import component
from mpirobust.errors import PlanFault


@component
class NormTrim(SetForBeta, Weighing):
    """Drop the ⌈βm⌉ messages of largest norm, average the rest (P1 Alg. 1 l. 6, P2 Alg. 1 l. 6).

    Unsound messages count as infinitely long; ties are broken by worker number. Weights go
    into the average alone: ⌈βm⌉ workers are dropped, however much they weigh.

    Attributes:
        beta: β, the fraction of messages that is dropped, at least that of the Byzantine workers.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        if share(self.beta, workers) >= workers:
            raise PlanFault("beta", f"{self.beta} of {workers} workers, rounded up, leaves nobody to keep")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        m = len(answers)
        kept = np.zeros(m, dtype=bool)
        kept[np.argsort(answers.norms, kind="stable")[: m - share(self.beta, m)]] = True
        kept &= answers.sound
        return Verdict(answers.average(kept), kept)

    def trims(self, workers: int) -> int | None:
        return share(self.beta, workers)
