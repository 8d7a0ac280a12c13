"""A data set that lies in stores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.sources.base import Dataset, Facts
from mpirobust.data.store import Store
from mpirobust.errors import DataFault
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Rows, Vector

_MOST_CLASSES = 1000


class RowFault(DataFault):
    """Something is wrong with one row of a file.

    Attributes:
        row: its number, from 0.
        reason: without file and row.
        which: 0 for the file of the training rows, 1 for that of the test rows.
    """

    def __init__(self, file: str, row: int, reason: str, which: int = 0) -> None:
        super().__init__(f"{file}, row {row + 1}: {reason}")
        self.row = row
        self.reason = reason
        self.which = which


class Table(Dataset):
    """Training and test rows in one store (with `split`), in two, or training rows alone.

    With `classes`, the distinct training labels in ascending order become 0, 1, ...
    Sparse rows have as many columns as the wider of the two stores.

    Raises:
        DataFault: the two stores, or the labels, do not fit; a `RowFault` if one row can be named.
    """

    def __init__(self, train: Store, test: Store | None, seed: int, split: float | None, classes: bool) -> None:
        self._stores = [train] if test is None else [train, test]
        if test is not None and test.features != train.features:
            if not (test.sparse and train.sparse):
                both = f"{test.source} has {test.features} features, {train.source} has {train.features}"
                raise DataFault(f"{both}: training and test rows do not fit")
            train.features = test.features = max(test.features, train.features)
        if split is not None:
            order = stream(seed, CENTER, 0, Purpose.SPLIT).permutation(train.rows)
            cut = min(max(1, round(split * train.rows)), train.rows)
            self._train_rows, self._test_rows = np.sort(order[:cut]), np.sort(order[cut:])
        else:
            self._train_rows = np.arange(train.rows)
            self._test_rows = np.arange(test.rows if test is not None else 0)
        self._values = _distinct(train) if classes else None
        self._y = [self._numbers(which) for which in range(len(self._stores))]

    def _numbers(self, which: int) -> NDArray[np.float64]:
        store = self._stores[which]
        if self._values is None:
            return store.labels
        at = np.searchsorted(self._values, store.labels).clip(max=self._values.size - 1)
        strange = np.flatnonzero(self._values[at] != store.labels)
        if strange.size:
            reason = f"label {store.labels[strange[0]]:g} is unknown in training"
            raise RowFault(store.source, int(strange[0]), reason, which)
        return at.astype(np.float64)

    @property
    def facts(self) -> Facts:
        digest = hashlib.sha256("".join(store.digest for store in self._stores).encode()).hexdigest()
        nbytes = sum(store.nbytes for store in self._stores)
        classes = 0 if self._values is None else self._values.size
        return Facts(self._train_rows.size, self._test_rows.size, self._stores[0].features, classes, digest, nbytes)

    def labels(self) -> NDArray[np.int64] | None:
        return None if self._values is None else self._y[0][self._train_rows].astype(np.int64)

    def train(self, rows: Rows) -> Shard:
        return self._shard(0, self._train_rows[rows])

    def test(self, rows: Rows) -> Shard:
        return self._shard(-1, self._test_rows[rows])

    def _shard(self, which: int, rows: Rows) -> Shard:
        facts = self.facts
        return Shard.of(self._stores[which].read(rows), self._y[which][rows], facts.classes, facts.rows)

    def solution(self) -> Vector | None:
        return None

    def close(self) -> None:
        for store in self._stores:
            store.close()


def open_table(paths: Sequence[Path], seed: int, split: float | None, classes: bool) -> Table:
    """Return the data set in these stores, that of the training rows first. After a fault none of them is open.

    Raises:
        DataFault: see `Store` and `Table`.
    """
    with ExitStack() as opened:
        train, *test = [opened.enter_context(closing(Store(path))) for path in paths]
        table = Table(train, test[0] if test else None, seed, split, classes)
        opened.pop_all()
        return table


def _distinct(store: Store) -> NDArray[np.float64]:
    """Return the distinct labels, ascending; raise `RowFault` if they are too many to be classes."""
    values, first = np.unique(store.labels, return_index=True)
    if values.size > _MOST_CLASSES:
        row = int(np.sort(first)[_MOST_CLASSES])
        reason = f'there are {values.size} distinct labels; for real targets say data.targets = "real"'
        raise RowFault(store.source, row, reason)
    return values
