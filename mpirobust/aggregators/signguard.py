from __future__ import annotations

from math import ceil
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Field, component
from mpirobust.types import Rows

_SAME = 1e-9  # shares that differ by less are equal but for rounding


@component
class SignGuard(Weighing):
    """Filters by norm and by the statistics of signs (Xu et al. 2022, Alg. 2).

    M is the median of the norms of the sound messages. Those between `low` M and `high` M pass the first filter. The
    second looks at the shares of positive, zero and negative entries among a `fraction` of the coordinates, drawn from
    the rule's stream: the largest cluster by mean shift passes, whose bandwidth is the mean distance to the nearest
    half. The step is the mean of what passes both (or the first, if nothing does), shortened to M.
    Norms are those by which the plan sorts messages. It takes no note of which coordinate has which sign.

    Attributes:
        low: least norm that passes, as a multiple of the median norm.
        high: largest norm that passes, as a multiple of the median norm.
        fraction: share of the coordinates whose signs are looked at.
    """

    low: Annotated[float, Field(ge=0, lt=1)] = 0.1
    high: Annotated[float, Field(gt=1)] = 3.0
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.1

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers = np.flatnonzero(answers.sound)
        kept = np.zeros(len(answers), dtype=bool)
        if not workers.size:
            return Verdict(answers.average(kept), kept)
        norms = answers.norms[workers]
        middle = float(np.median(norms))
        by_norm = (norms >= self.low * middle) & (norms <= self.high * middle)
        passed = by_norm & _largest_cluster(self._signs(answers, workers, context))
        chosen = passed if passed.any() else by_norm
        kept[workers[chosen]] = True
        counts = np.where(chosen, answers.weights[workers], 0.0)
        weights = np.zeros(len(answers))
        weights[workers] = counts / (counts.sum() or 1.0) * np.minimum(1.0, middle / np.where(norms > 0, norms, 1.0))
        return Verdict(answers.combine(weights), kept)

    def tolerates(self) -> float | None:
        return 0.5

    def _signs(self, answers: Answers, workers: Rows, context: Context) -> NDArray[np.float64]:
        """Return the shares of positive, zero and negative entries of each, shape (n, 3)."""
        size = ceil(self.fraction * answers.dim)
        drawn = np.zeros(answers.dim, dtype=bool)
        drawn[context.stream().choice(answers.dim, size, replace=False, shuffle=False)] = True
        counts = np.zeros((workers.size, 3))
        for where, block in answers.blocks(workers):
            some = block[:, drawn[where]]
            counts += np.stack([(some > 0).sum(axis=1), (some == 0).sum(axis=1), (some < 0).sum(axis=1)], axis=1)
        return counts / size


def _largest_cluster(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the members of the largest cluster of points, shape (n, 3), by mean shift with a flat kernel."""
    distances = _distances(points, points)
    bandwidth = max(np.sort(distances, axis=1)[:, max(len(points) // 2 - 1, 0)].mean(), _SAME)
    modes = points
    for _ in range(300):
        within = _distances(modes, points) <= bandwidth
        before, count = modes, within.sum(axis=1, keepdims=True)
        modes = np.where(count, within @ points / np.maximum(count, 1), modes)  # 0: all are on a ring about it
        if np.abs(modes - before).max() <= 1e-3 * bandwidth:
            break
    crowd = (_distances(modes, points) <= bandwidth).sum(axis=1)
    found: list[int] = []
    for at in np.lexsort((*modes.T, -crowd)).tolist():  # the densest first; equals by place, not by worker
        if not found or _distances(modes[[at]], modes[found]).min() > bandwidth:
            found.append(at)
    label = _distances(points, modes[found]).argmin(axis=1)
    return np.asarray(label == np.bincount(label).argmax())


def _distances(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(((some[:, None] - others[None]) ** 2).sum(axis=2)))
