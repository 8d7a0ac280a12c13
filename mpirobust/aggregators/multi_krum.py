from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from mpirobust.aggregators._geometry import expect_krum, krum_bounds, krum_order, measured, squared_distances
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import Count, component
from mpirobust.errors import PlanFault


@component
class MultiKrum(SetForBeta, Weighing):
    """The mean of the `keep` messages with the best Krum scores, f = ⌈βm⌉ (Blanchard et al. 2017).

    Without `keep`, the n - f best of n sound ones; never more than that. Ties are broken
    by the distances to all, then by worker number. Weights go into the mean alone.

    Attributes:
        keep: messages that are averaged (default: n - f).
    """

    keep: Count | None = None

    def admit(self, workers: int, byzantine: int) -> None:
        f = expect_krum(self.beta, workers)
        if self.keep is not None and self.keep > workers - f:
            raise PlanFault("keep", f"{self.keep} of {workers} workers; choose at most m - f = {workers - f}")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        f = share(self.beta, len(answers))
        most = max(workers.size - f, 1)
        best = krum_order(np.sort(squared_distances(gram), axis=1), f)
        kept = np.zeros(len(answers), dtype=bool)
        kept[workers[best[: most if self.keep is None else min(self.keep, most)]]] = True
        return Verdict(answers.average(kept), kept)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        score, strays = krum_bounds(workers, f)
        part = f / (workers - f)  # of the kept that may be Byzantine
        off = sqrt(part * score) + part * sqrt(strays) + sqrt(part)
        if self.keep is not None:
            off = sqrt(score) + sqrt(strays)  # as Krum
        return off**2 if byzantine <= f else None
