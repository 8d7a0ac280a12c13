from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.data.partitions.base import Partition, even_cuts
from mpirobust.errors import PlanFault
from mpirobust.types import Rows


@component
class ByLabel(Partition):
    """Rows shuffled, sorted by class and cut in equal parts: most workers see one class only."""

    def deal(self, rows: int, labels: NDArray[np.int64] | None, workers: int, rng: np.random.Generator) -> list[Rows]:
        if labels is None:
            raise PlanFault("kind", "by-label needs classes; the data have real targets")
        shuffled = rng.permutation(rows)
        return even_cuts(shuffled[np.argsort(labels[shuffled], kind="stable")], workers)
