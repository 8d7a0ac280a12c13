from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.data.reading import Check, opened
from mpirobust.data.sources._arrays import as_rows, read_array
from mpirobust.data.sources._files import FileSource
from mpirobust.data.sources.base import Places
from mpirobust.data.store import write_dense_store


@component
class NPY(FileSource):
    """Features and labels as arrays in a file each, as `numpy.save` stores them; or a store of both.

    `path` has the features, shape (n, ...), and `y` the labels, shape (n,). Give either `split` (the share of the rows
    to train on, the rest is the test set), or `test` and `y_test` (two more files), or neither for no test set. With
    `targets = "classes"` the distinct labels in ascending order become 0, 1, ...

    Attributes:
        y: the file of the labels.
        y_test: the file of the labels of the test rows.
    """

    either: ClassVar = ({"split"}, {"test", "y_test"})

    y: str
    y_test: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.test is None) != (self.y_test is None):
            raise ValueError("give both test and y_test, or neither")

    def _files(self, places: Places, test: bool) -> list[Path]:
        name, key = (self.y_test or self.y, "data.y_test") if test else (self.y, "data.y")
        return [*super()._files(places, test), places.find(name, key)]

    def _reading(self, width: int) -> str:
        return ""

    def _write_store(self, store: Path, files: list[Path], width: int, check: Check) -> None:
        X, y = (_array(path, check) for path in files)
        write_dense_store(store, *as_rows(X, y, str(files[0])), str(files[0]))


def _array(path: Path, check: Check) -> NDArray[np.float64]:
    with opened(path) as (content, _, most):
        return read_array(content, str(path), most, check)
