from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mpirobust.components import component
from mpirobust.data.reading import Check
from mpirobust.data.sources._arrays import as_rows, read_member
from mpirobust.data.sources._files import FileSource
from mpirobust.data.store import write_dense_store


@component
class NPZ(FileSource):
    """Features and labels as arrays in one file, as `numpy.savez` and `savez_compressed` store them; or a store of it.

    `X` and `y` are the names of the features, shape (n, ...), and the labels, shape (n,). Give either `split` (the
    share of the rows to train on, the rest is the test set), or `test` (a file of its own), or `X_test` and `y_test`
    (names of other arrays, in `test` if it is given and in `path` otherwise), or nothing for no test set. With
    `targets = "classes"` the distinct labels in ascending order become 0, 1, ...

    Attributes:
        X: name of the array of features.
        y: name of the array of labels.
        X_test: name of the array of test features, in test if it is given, otherwise in path (default: X, if test is
            given).
        y_test: name of the array of test labels (default: y, if test is given).
    """

    either: ClassVar = ({"split"}, {"test", "X_test", "y_test"})

    X: str = "X"
    y: str = "y"
    X_test: str | None = None
    y_test: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.X_test is None) != (self.y_test is None):
            raise ValueError("give both X_test and y_test, or neither")
        if self.X_test is not None and self.split is not None:
            raise ValueError("give split or X_test, not both")

    def _has_test(self) -> bool:
        return self.test is not None or self.X_test is not None

    def _reading(self, width: int) -> str:
        return repr(self._names(width))

    def _write_store(self, store: Path, files: list[Path], width: int, check: Check) -> None:
        path = files[0]
        X, y = (read_member(path, name, check) for name in self._names(width))
        write_dense_store(store, *as_rows(X, y, str(path)), str(path))

    def _names(self, width: int) -> tuple[str, str]:
        """Return the names of the arrays: those of the training rows if `width` is 0."""
        return (self.X_test or self.X, self.y_test or self.y) if width else (self.X, self.y)
