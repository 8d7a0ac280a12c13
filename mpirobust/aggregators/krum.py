from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from mpirobust.aggregators._geometry import expect_krum, krum_bounds, krum_order, measured, squared_distances
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class Krum(SetForBeta):
    """The one message with the smallest squared distances to its n - f - 2 nearest, f = ⌈βm⌉ (Blanchard et al. 2017).

    n is the number of sound messages; ties are broken by the distances to all, then by worker number.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        expect_krum(self.beta, workers)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        kept = np.zeros(len(answers), dtype=bool)
        if workers.size:
            nearest = np.sort(squared_distances(gram), axis=1)
            kept[workers[krum_order(nearest, share(self.beta, len(answers)))[0]]] = True
        return Verdict(answers.average(kept), kept)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        score, strays = krum_bounds(workers, f)
        return (sqrt(score) + sqrt(strays)) ** 2 if byzantine <= f else None
