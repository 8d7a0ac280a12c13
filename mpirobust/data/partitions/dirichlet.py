from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Field, component
from mpirobust.data.partitions.base import Partition
from mpirobust.errors import PlanFault
from mpirobust.types import Rows


@component
class Dirichlet(Partition):
    """Each class dealt in Dirichlet(concentration) proportions (Hsu et al. 2019): small is skewed, large is even.

    Attributes:
        concentration: small: a worker sees few classes; large: all see all alike.
    """

    concentration: Annotated[float, Field(gt=0, le=1e6)] = 0.5

    def deal(self, rows: int, labels: NDArray[np.int64] | None, workers: int, rng: np.random.Generator) -> list[Rows]:
        if labels is None:
            raise PlanFault("kind", "dirichlet needs classes; the data have real targets")
        owner = np.empty(rows, dtype=np.intp)
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            shares = rng.dirichlet(np.full(workers, self.concentration))
            cuts = np.floor(np.cumsum(shares)[:-1] * members.size).astype(np.intp)
            owner[members] = np.searchsorted(cuts, np.arange(members.size), side="right")
        _feed_the_empty(owner, workers)
        return [np.flatnonzero(owner == worker) for worker in range(workers)]


def _feed_the_empty(owner: Rows, workers: int) -> None:
    """Give each worker without a row the last row of the worker that then has most."""
    counts = np.bincount(owner, minlength=workers)
    for worker in np.flatnonzero(counts == 0):
        rich = int(np.argmax(counts))
        owner[np.flatnonzero(owner == rich)[-1]] = worker
        counts[rich] -= 1
        counts[worker] += 1
