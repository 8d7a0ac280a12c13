from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Field, component
from mpirobust.data.partitions.base import Partition
from mpirobust.errors import PlanFault
from mpirobust.types import Rows


@component
class GammaSimilarity(Partition):
    """A share of each worker's rows dealt at random, the others sorted by class (Karimireddy et al. 2020, §7).

    Workers have equal parts, as in `iid` (gamma = 1) and `by-label` (gamma = 0).

    Attributes:
        gamma: γ, the share that is dealt at random.
    """

    gamma: Annotated[float, Field(ge=0, le=1)] = 0.5

    def deal(self, rows: int, labels: NDArray[np.int64] | None, workers: int, rng: np.random.Generator) -> list[Rows]:
        if labels is None:
            raise PlanFault("kind", "gamma-similarity needs classes; the data have real targets")
        shuffled = rng.permutation(rows)
        ends = np.cumsum([part.size for part in np.array_split(shuffled, workers)])
        at_random = np.floor(self.gamma * ends + 1e-9).astype(np.intp)  # of the first workers' rows together
        mixed, rest = np.split(shuffled, at_random[-1:])
        by_class = rest[np.argsort(labels[rest], kind="stable")]
        parts = zip(np.split(mixed, at_random[:-1]), np.split(by_class, (ends - at_random)[:-1]), strict=True)
        return [np.sort(np.concatenate(part)) for part in parts]
