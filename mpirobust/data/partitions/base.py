"""The contract of a partition."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from mpirobust.types import Rows


class Partition(ABC):
    """Deals the training rows to the workers; a function of the data, m and the stream alone."""

    @abstractmethod
    def deal(self, rows: int, labels: NDArray[np.int64] | None, workers: int, rng: np.random.Generator) -> list[Rows]:
        """Return the rows of each worker, ascending; every row once, no worker without a row.

        Args:
            rows: number of training rows, at least `workers`.
            labels: class number of each row, shape (rows,); None for real targets.

        Raises:
            PlanFault: the partition needs classes and the data have none.
        """

    def iid(self) -> bool:
        """Return whether rows that are drawn independently are dealt so."""
        return False


def even_cuts(order: Rows, workers: int) -> list[Rows]:
    """Cut `order` into `workers` runs whose lengths differ by at most one; each run sorted."""
    return [np.sort(run) for run in np.array_split(order, workers)]
