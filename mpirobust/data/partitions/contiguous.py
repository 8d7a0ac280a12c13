from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.data.partitions.base import Partition, even_cuts
from mpirobust.types import Rows


@component
class Contiguous(Partition):
    """Equal runs of rows in the order of the data."""

    def deal(self, rows: int, labels: NDArray[np.int64] | None, workers: int, rng: np.random.Generator) -> list[Rows]:
        return even_cuts(np.arange(rows), workers)
