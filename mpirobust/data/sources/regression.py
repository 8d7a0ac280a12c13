from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import MOST, Count, Field, component
from mpirobust.data.sources.base import Dataset, Facts, Places, Source
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, Streams, stream
from mpirobust.types import Rows, Vector


@component
class Regression(Source):
    """Synthetic regression `y = A w* + noise`, A and w* i.i.d. N(0, 1) (P1 §8).

    Row j is drawn from a stream of its own, so each rank makes exactly the rows
    that its workers own: nothing is stored and nothing is read.

    Attributes:
        rows: n, training rows.
        features: d, the numbers in a row.
        noise: standard deviation of the noise on the targets.
        test_rows: test rows, from the same model.
    """

    rows: Count = 4000
    features: Count = 1000
    noise: Annotated[float, Field(ge=0)] = 0.0
    test_rows: Annotated[int, Field(ge=0, le=MOST)] = 0

    def prepare(self, places: Places) -> list[Path]:
        return []

    def deals_iid(self) -> bool:
        return True  # however they are dealt

    def open(self, stores: list[Path], seed: int) -> Dataset:
        return _Synthetic(self, seed)


class _Synthetic(Dataset):
    def __init__(self, source: Regression, seed: int) -> None:
        self._source = source
        self._seed = seed
        self._solution = stream(seed, CENTER, 0, Purpose.SOLUTION).standard_normal(source.features)

    @property
    def facts(self) -> Facts:
        s = self._source
        made_of = f"regression {self._seed} {s.rows} {s.test_rows} {s.features} {s.noise!r}"
        nbytes = 8 * (s.rows + s.test_rows) * (s.features + 1)
        return Facts(s.rows, s.test_rows, s.features, 0, hashlib.sha256(made_of.encode()).hexdigest(), nbytes)

    def labels(self) -> NDArray[np.int64] | None:
        return None

    def train(self, rows: Rows) -> Shard:
        X = np.empty((rows.size, self._source.features))
        y = np.empty(rows.size)
        streams = Streams(self._seed, 0, Purpose.ROWS)
        for at, row in enumerate(rows):
            rng = streams.of(0, worker=int(row))
            rng.standard_normal(out=X[at])
            y[at] = self._source.noise * rng.standard_normal()
        # One dot product per row: a matrix product may round differently for a different set of rows.
        y += [float(row @ self._solution) for row in X]
        return Shard.of(X, y, 0, self._source.rows)

    def test(self, rows: Rows) -> Shard:
        return self.train(rows + self._source.rows)

    def solution(self) -> Vector | None:
        return self._solution.copy()

    def close(self) -> None:
        pass
