from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._columns import coordinate_wise, equal, ordered
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import component
from mpirobust.errors import PlanFault


@component
class TrimmedMean(SetForBeta, Weighing):
    """Coordinate by coordinate, the mean of what is left without the ⌈βm⌉ largest and smallest (Yin et al. 2018).

    Unsound messages do not count as trimmed: they may be those of honest workers that are
    gone. If too few are sound, the middle one or two are left, which is the median. Weights go into the mean alone.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        if 2 * share(self.beta, workers) >= workers:
            raise PlanFault("beta", f"{self.beta} of {workers} workers, rounded up, at both ends leaves nothing")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        drop, sound = share(self.beta, len(answers)), answers.sound
        weights = answers.weights[sound]
        alike = equal(weights)
        packed = answers.signs(np.flatnonzero(sound)) if sound.any() and alike else None
        if packed is not None:  # counted, not decoded
            return Verdict(packed.trimmed_mean(min(drop, (len(packed.rows) - 1) // 2)), sound)

        def trimmed(block: NDArray[np.float64]) -> NDArray[np.float64]:
            n = block.shape[0]
            cut = min(drop, (n - 1) // 2)
            if not alike:
                order = np.lexsort((np.broadcast_to(weights[:, None], block.shape), block), axis=0)[cut : n - cut]
                return np.average(np.take_along_axis(block, order, axis=0), axis=0, weights=weights[order])
            return np.asarray(ordered(block)[:, cut : n - cut].mean(axis=1))

        return coordinate_wise(answers, sound, trimmed)

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        return f / (workers - byzantine - f) if byzantine <= f else None
