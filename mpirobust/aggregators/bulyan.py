from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._columns import coordinate_wise, mean_around_median, ordered
from mpirobust.aggregators._geometry import krum_order, measured, squared_distances
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, share
from mpirobust.answers import Answers
from mpirobust.components import component
from mpirobust.errors import PlanFault


@component
class Bulyan(SetForBeta):
    """Bulyan of Krum, f = ⌈βm⌉ (El Mhamdi et al. 2018, §4).

    Krum chooses n - 2f of the n sound messages, one after the other, each among those that
    are left; then, coordinate by coordinate, the mean of the n - 4f values nearest to their
    median. If too few are sound, one at least is chosen. Ties are broken as by Krum,
    and between values to both sides of the median by the side that leaves as many out.
    """

    def admit(self, workers: int, byzantine: int) -> None:
        f = share(self.beta, workers)
        if workers < 4 * f + 3:
            reason = f"{self.beta} of {workers} workers is f = {f}"
            raise PlanFault("beta", f"{reason}; Bulyan needs m >= 4f + 3 = {4 * f + 3}")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        f = share(self.beta, len(answers))
        kept = np.zeros(len(answers), dtype=bool)
        kept[workers[_chosen(squared_distances(gram), f)]] = True

        def nearest(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return mean_around_median(ordered(block), max(block.shape[0] - 2 * f, 1))

        return coordinate_wise(answers, kept, nearest)


def _chosen(distances: NDArray[np.float64], f: int) -> list[int]:
    """Return the rows that Krum takes one by one; what is left is kept sorted, so that a round costs n²."""
    n = distances.shape[0]
    order = np.argsort(distances, axis=1, kind="stable")
    nearest = np.take_along_axis(distances, order, axis=1)
    left, chosen = np.arange(n), []
    for _ in range(max(n - 2 * f, min(n, 1))):
        best = krum_order(nearest, f)[0]
        gone = int(left[best])
        chosen.append(gone)
        left, order, nearest = np.delete(left, best), np.delete(order, best, axis=0), np.delete(nearest, best, axis=0)
        others = order != gone
        order, nearest = order[others].reshape(left.size, left.size), nearest[others].reshape(left.size, left.size)
    return chosen
