from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Count, Field, component
from mpirobust.data.sources.base import Dataset, Facts, Places, Source
from mpirobust.shard import Shard
from mpirobust.streams import Purpose, stream
from mpirobust.types import Rows, Vector


@component
class NoData(Source):
    """No data set: rows N(0, σ² I) for problems that are functions of their own; σ is the noise between workers.

    A toy problem tilts its function by the mean row of the shard. With as many rows
    as workers the gradients of two workers differ by N(0, 2σ²) in each coordinate, with n rows
    a worker by N(0, 2σ²/n). The targets are 1, 2, 1, 2, ... in the order of the rows: the two
    functions of P2 §4's toy. Row j is drawn from a stream of its own; nothing is stored.

    Attributes:
        rows: rows in all; as many as workers: one each.
        features: d, the numbers in a row.
        sigma: σ, the standard deviation of the entries of a row.
    """

    rows: Count
    features: Count = 2
    sigma: Annotated[float, Field(ge=0)] = 0.0

    def prepare(self, places: Places) -> list[Path]:
        return []

    def open(self, stores: list[Path], seed: int) -> Dataset:
        return _Noise(self, seed)


class _Noise(Dataset):
    def __init__(self, source: NoData, seed: int) -> None:
        self._source = source
        self._seed = seed

    @property
    def facts(self) -> Facts:
        s = self._source
        made_of = f"none {self._seed} {s.rows} {s.features} {s.sigma!r}"
        digest = hashlib.sha256(made_of.encode()).hexdigest()
        return Facts(s.rows, 0, s.features, 0, digest, 8 * s.rows * (s.features + 1))

    def labels(self) -> NDArray[np.int64] | None:
        return None

    def train(self, rows: Rows) -> Shard:
        X = np.empty((rows.size, self._source.features))
        for at, row in enumerate(rows):
            stream(self._seed, int(row), 0, Purpose.ROWS).standard_normal(out=X[at])
        X *= self._source.sigma
        return Shard.of(X, np.where(rows % 2, 2.0, 1.0), 0, self._source.rows)

    def test(self, rows: Rows) -> Shard:
        raise AssertionError("there are no test rows")

    def solution(self) -> Vector | None:
        return None

    def close(self) -> None:
        pass
