"""The HDF5 store: a data set prepared once, from which each rank reads only its own rows.

Layout (format 1), all little-endian: `labels` (n,) float64; sparse rows as CSR in
`indptr` (n + 1,) int64, `indices` int32, `data` float64; images as `pixels` (n, d) uint8; dense rows as
`dense` (n, d) float64.
Attributes of the file: `kind`, `format`, `features`, `source`, `digest`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mpirobust.errors import DataFault, SetupFault, StorageFault
from mpirobust.files import open_regular, printable
from mpirobust.hdf5 import open_sealed, whole, write_sealed
from mpirobust.meter import Meter
from mpirobust.terminal import note
from mpirobust.types import Rows

STORE_FORMAT = 1
_BLOCK = 2**24  # bytes of a store that are written, hashed or counted at a time
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_DENSE = {"pixels": "|u1", "dense": "<f8"}  # the arrays of dense rows, and their types


def is_store(path: Path) -> bool:
    """Return whether `path` is meant to be a store: some HDF5 file, and not text; raise `DataFault`."""
    try:
        open_regular(path).close()
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror})") from error
    return bool(h5py.is_hdf5(path))


def write_csr_store(path: Path, X: Any, labels: NDArray[np.float64], source: str) -> None:
    """Store a CSR matrix and its labels at `path`; raises `StorageFault`."""
    arrays = {
        "indptr": X.indptr.astype("<i8", copy=False),
        "indices": X.indices.astype("<i4", copy=False),
        "data": X.data.astype("<f8", copy=False),
        "labels": labels.astype("<f8", copy=False),
    }
    _write(path, arrays, X.shape, source)


def write_pixel_store(path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.float64], source: str) -> None:
    """Store images, shape (n, d), and their labels at `path`; raises `StorageFault`."""
    _write(path, {"pixels": pixels, "labels": labels.astype("<f8")}, pixels.shape, source)


def write_dense_store(path: Path, X: NDArray[np.float64], labels: NDArray[np.float64], source: str) -> None:
    """Store dense rows, shape (n, d), and their labels at `path`; raises `StorageFault`."""
    _write(path, {"dense": X.astype("<f8", copy=False), "labels": labels.astype("<f8", copy=False)}, X.shape, source)


def _write(path: Path, arrays: dict[str, NDArray[Any]], shape: tuple[int, ...], source: str) -> None:
    digest = hashlib.sha256(repr(shape).encode())
    nbytes = sum(array.nbytes for array in arrays.values())
    with Meter(f"storing {path.name}", 2 * nbytes) as meter:
        for done, _, block in _blocks(arrays):
            meter.at(done)
            digest.update(block.data)

        def fill(file: Any) -> None:
            file.attrs.update(features=shape[1], source=printable(source), digest=digest.hexdigest())
            stored = {name: file.create_dataset(name, array.shape, array.dtype) for name, array in arrays.items()}
            for done, (name, rows), block in _blocks(arrays):
                meter.at(nbytes + done)
                stored[name][rows] = block

        write_sealed(path, "store", STORE_FORMAT, fill)


def _blocks(arrays: Mapping[str, Any]) -> Iterator[tuple[int, tuple[str, slice], NDArray[Any]]]:
    """Yield arrays, of this process or in a file, block by block: the bytes before it, its name and rows, itself."""
    before = 0
    for name, array in arrays.items():
        step = max(1, _BLOCK * len(array) // max(1, array.nbytes))  # rows
        for start in range(0, len(array), step):
            rows = slice(start, start + step)
            block = array[rows]
            yield before, (name, rows), block
            before += block.nbytes


class Store:
    """An open store.

    Attributes:
        features: the number of columns; sparse rows may be given more, which are zero.
        digest: a hash over the rows.
        labels: shape (rows,), float64.
        source: the file that the rows come from.

    Args:
        verify: look for damage first, and compute the digest, which reads the whole file twice: the center does it for
            all.

    Raises:
        DataFault: not a whole store of this format.
    """

    def __init__(self, path: Path, verify: bool = False) -> None:
        self.path = path
        try:
            self._file = open_sealed(path, "store", STORE_FORMAT, verify)
        except SetupFault as fault:
            raise DataFault(str(fault)) from fault
        try:
            with whole(path, "data store"):
                self._look_over()
                if verify and self._computed_digest() != self.digest:
                    raise ValueError("its digest is not that of its rows")
        except SetupFault as fault:
            self._file.close()
            raise DataFault(str(fault)) from fault

    def _look_over(self) -> None:
        self.features = int(self._file.attrs["features"])
        self.digest = str(self._file.attrs["digest"])
        self.source = str(self._file.attrs.get("source", self.path))
        self.labels: NDArray[np.float64] = self._array("labels", "<f8", 1)[:]
        self._dense = next((name for name in _DENSE if name in self._file), "")
        if self.features < 1 or not self.rows:
            raise ValueError("no rows, or no features")
        if not self._dense:
            self._indptr: NDArray[np.int64] = self._array("indptr", "<i8", 1)[:]
            self._check_rows()
        elif self._array(self._dense, _DENSE[self._dense], 2).shape != (self.rows, self.features):
            raise ValueError(f"{self._dense} do not fit the labels")
        if not np.isfinite(self.labels).all():
            raise ValueError("a label is not finite")

    def _array(self, name: str, dtype: str, dimensions: int) -> Any:
        array = self._file[name]
        if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
            raise ValueError(f"{name} is not of type {dtype} in {dimensions} dimensions")
        return array

    def _check_rows(self) -> None:
        n = self.labels.shape[0]
        nonzeros = self._array("data", "<f8", 1).shape[0]
        sizes_fit = self._indptr.shape == (n + 1,) and self._array("indices", "<i4", 1).shape == (nonzeros,)
        if not sizes_fit or self._indptr[0] != 0 or self._indptr[-1] != nonzeros or (np.diff(self._indptr) < 0).any():
            raise ValueError("row pointers do not fit the rows")

    def _computed_digest(self) -> str:
        """Return the digest as `_write` makes it: the one that the file states may be that of other rows."""
        digest = hashlib.sha256(repr((self.rows, self.features)).encode())
        names = (self._dense, "labels") if self._dense else ("indptr", "indices", "data", "labels")
        for block in self._read_through(names, "checking"):
            digest.update(block.data)
        return digest.hexdigest()

    def _read_through(self, names: Sequence[str], doing: str) -> Iterator[NDArray[Any]]:
        arrays = {name: self._file[name] for name in names}
        with Meter(f"{doing} {self.path.name}", sum(array.nbytes for array in arrays.values())) as meter:
            for done, _, block in _blocks(arrays):
                meter.at(done)
                yield block

    @property
    def sparse(self) -> bool:
        return not self._dense

    @property
    def rows(self) -> int:
        return int(self.labels.shape[0])

    def nonzeros(self) -> int:
        """Return how many features of all rows are not zero; this reads them all."""
        try:
            with whole(self.path, "data store"):
                blocks = self._read_through([self._dense or "data"], "counting")
                return sum(int(np.count_nonzero(block)) for block in blocks)
        except SetupFault as fault:
            raise DataFault(str(fault)) from fault

    @property
    def nbytes(self) -> int:
        """The bytes of all rows in memory: sparse ones with their transpose."""
        if not self._dense:
            return 8 * self.rows + 24 * int(self._indptr[-1])
        return 8 * self.rows + (4 if self._dense == "pixels" else 8) * self.rows * self.features

    def read(self, rows: Rows) -> Any:
        """Return these ascending rows, shape (len(rows), features).

        Sparse rows are a CSR matrix, dense ones float64, pixels float32 from 0 to 1.
        """
        try:
            with whole(self.path, "data store"):
                return self._dense_rows(rows) if self._dense else self._rows(rows)
        except SetupFault as fault:
            raise DataFault(str(fault)) from fault

    def _dense_rows(self, rows: Rows) -> Any:
        X = self._file[self._dense][rows]
        if self._dense == "pixels":
            return X * np.float32(1 / 255)
        self._expect_finite(X)
        return X

    def _expect_finite(self, numbers: NDArray[np.float64]) -> None:
        if not np.isfinite(numbers).all():
            raise DataFault(f"{self.path}: a feature is not finite")

    def _rows(self, rows: Rows) -> Any:
        starts, stops = self._indptr[rows], self._indptr[rows + 1]
        counts = stops - starts
        indptr = np.concatenate(([0], np.cumsum(counts)))
        if rows.size and rows[-1] - rows[0] + 1 == rows.size:
            where: Any = slice(int(starts[0]), int(stops[-1]))
        else:
            where = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        indices, data = self._file["indices"][where], self._file["data"][where]
        if indices.size and not (indices.min() >= 0 and indices.max() < self.features):
            raise DataFault(f"{self.path}: feature number outside 0..{self.features - 1}")
        self._expect_finite(data)
        return sparse.csr_array((data, indices, indptr.astype(np.int32)), shape=(rows.size, self.features))

    def close(self) -> None:
        self._file.close()


def place_in_cache(cache: Path, files: Sequence[Path], reading: str) -> Path:
    """Return where the store for `files` is, or will be.

    The name changes with their paths, sizes, and times of the last change: of the content, which a user can set, and of
    the file itself, which a user cannot. If a store of this name is not to be trusted, the name is one of this user.

    Args:
        reading: what the rows depend on besides the files.

    Raises:
        DataFault: the cache cannot be read, or others may replace what is in it.
    """
    stores = cache / "stores"
    try:
        replaceable = stores.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
    except FileNotFoundError:
        replaceable = False
    except OSError as error:
        raise DataFault(f"{stores}: cannot be read ({error.strerror}); $MPIROBUST_CACHE names another cache") from error
    if replaceable:
        raise DataFault(f"{stores}: all users may write to it; chmod o-w, or name another cache in $MPIROBUST_CACHE")
    seen = [(each, each.stat()) for each in files]
    key = [f"{each.resolve()} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}" for each, at in seen]
    name = hashlib.sha256(os.fsencode(" ".join([str(STORE_FORMAT), *key, reading]))).hexdigest()[:16]
    path = stores / f"{files[0].name[:40]}-{name}.h5"
    return path if _is_own(path) or not os.path.lexists(path) else path.with_stem(f"{path.stem}-{os.geteuid()}")


def ensure_store(path: Path, build: Callable[[], None]) -> Path:
    """Return the store at `path` in the cache; build it if it is missing, damaged, or others may write to it.

    Raises:
        DataFault: of `build`; or there is something at `path` that this user cannot replace.
        StorageFault: it cannot be written.
    """
    try:
        if _is_own(path):
            Store(path, verify=True).close()
            return path
    except DataFault:
        pass
    try:
        if not _is_own(path):  # one that another job publishes meanwhile stays until it is replaced
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataFault(f"{path}: not a store of this user; $MPIROBUST_CACHE names another cache") from error
    with suppress(OSError):  # `build` meets it again, and says so
        path.parent.mkdir(0o755, parents=True, exist_ok=True)
    try:
        build()
    except StorageFault as fault:
        raise StorageFault(f"{fault}; $MPIROBUST_CACHE names another cache") from fault
    with suppress(OSError):  # as on a file system without permissions
        path.chmod(path.stat().st_mode & ~_OTHERS_WRITE)
    if not _is_own(path):
        note(f"{path}: the file system does not say who may write to it, so it is made anew at every start")
    return path


def _is_own(path: Path) -> bool:
    """Return whether `path` is a file of this user or of root, and no other user may write to it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid in (os.geteuid(), 0) and not found.st_mode & _OTHERS_WRITE
