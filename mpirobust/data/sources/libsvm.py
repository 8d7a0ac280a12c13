from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Field, component
from mpirobust.data.sources.base import Dataset, Places, Source
from mpirobust.data.store import STORE_FORMAT, Store, ensure_store, is_store, write_csr_store
from mpirobust.data.table import Table
from mpirobust.errors import DataFault

_MOST_BELIEVED = 2**24  # features: one damaged index may ask for vectors of any length


@component
class LibSVM(Source):
    """LIBSVM text (`label index:value ...`, indices from 1) or a store prepared from it (Chang & Lin 2011).

    Give either `split` (the share of the rows to train on, the rest is the test
    set) or `test` (a file of its own), or neither for no test set. With
    `targets = "classes"` the distinct labels in ascending order become 0, 1, ...
    """

    path: str
    features: Annotated[int, Field(gt=0, lt=2**32)] | None = None  # default: the largest index in the training file
    split: Annotated[float, Field(gt=0, lt=1)] | None = None
    test: str | None = None
    targets: Literal["classes", "real"] = "classes"

    def __post_init__(self) -> None:
        if self.split is not None and self.test is not None:
            raise ValueError("give split or test, not both")

    def prepare(self, places: Places) -> list[Path]:
        train, features = _prepared(places.find(self.path, "data.path"), self.features, places.cache)
        if self.test is None:
            return [train]
        test, _ = _prepared(places.find(self.test, "data.test"), features, places.cache)
        return [train, test]

    def open(self, stores: list[Path], seed: int) -> Dataset:
        train = Store(stores[0])
        test = None if self.test is None else Store(stores[1])
        if self.features not in (None, train.features):
            raise DataFault(f"data.features: {self.features} asked for, {train.path} has {train.features}")
        if self.features is None and train.features > _MOST_BELIEVED:
            found = f"{train.path} has feature number {train.features}"
            raise DataFault(f"data.features: {found}; if that is meant, say features = {train.features}")
        return Table(train, test, seed, split=self.split, classes=self.targets == "classes")


def _prepared(path: Path, features: int | None, cache: Path) -> tuple[Path, int]:
    """Return the store for `path`, checked for damage, and its number of features."""
    where = path if is_store(path) else _cached(path, features, cache)
    store = Store(where, verify=where == path)
    store.close()
    return where, store.features


def _cached(path: Path, features: int | None, cache: Path) -> Path:
    """Return the store for the text at `path`, parsed now if the cache does not hold it."""
    seen = path.stat()
    key = f"{STORE_FORMAT} {path.resolve()} {seen.st_size} {seen.st_mtime_ns} {features}"
    store = cache / "stores" / f"{path.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.h5"
    return ensure_store(store, lambda: write_csr_store(store, *_parse(path, features), str(path)))


def _parse(path: Path, features: int | None) -> tuple[Any, NDArray[np.float64]]:
    """Parse LIBSVM text; raises `DataFault` with file, line and reason."""
    from sklearn.datasets import load_svmlight_file  # a second to import, and only the center parses

    def load(content: Any) -> tuple[Any, NDArray[np.float64]]:
        X, labels = load_svmlight_file(content, zero_based=False, dtype=np.float64)
        if not (np.isfinite(X.data).all() and np.isfinite(labels).all()):
            raise ValueError("a number is not finite")
        if features is not None and X.shape[1] > features and X.nnz and X.indices.max() >= features:
            raise ValueError(f"feature index {X.indices.max() + 1} is above data.features = {features}")
        return X, labels

    try:
        with path.open("rb") as file:
            X, labels = load(file)
    except (ValueError, OverflowError) as whole:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    load(io.BytesIO(line))
                except (ValueError, OverflowError) as error:
                    raise DataFault(f"{path}, line {number}: {error}") from error
        raise DataFault(f"{path}: {whole}") from whole
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror or error})") from error
    if labels.size == 0:
        raise DataFault(f"{path}: no rows")
    X.resize((X.shape[0], features or X.shape[1]))
    return X, labels
