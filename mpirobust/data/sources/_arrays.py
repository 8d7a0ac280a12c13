"""NumPy's format for arrays, read piece by piece: numbers only, never objects."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO, cast
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.reading import MOST_DEFLATED, Check, opened
from mpirobust.data.table import RowFault
from mpirobust.errors import DataFault
from mpirobust.meter import Meter

_PIECE = 2**22  # bytes that are read and converted at a time


def read_array(file: BinaryIO, where: str, nbytes: int, check: Check) -> NDArray[np.float64]:
    """Return an array of numbers as float64, whatever its type and order in the file.

    Args:
        where: the file, and the member in it, for messages.
        nbytes: that `file` has; no shape is believed beyond it.
        check: called before every piece.

    Raises:
        DataFault: not an array, not one of numbers, or not whole.
    """
    heads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with warnings.catch_warnings(action="ignore"):  # of files by Python 2
            shape, by_columns, dtype = heads[np.lib.format.read_magic(file)](file)
    except (KeyError, MemoryError, RecursionError, SyntaxError, TokenError, TypeError, ValueError) as error:
        raise DataFault(f"{where}: not an array of numbers in NumPy's format") from error
    if dtype.kind not in "biuf":
        raise DataFault(f"{where}: an array of type {dtype}; expected numbers")
    size = prod(shape)
    if min(shape, default=1) < 1 or size * dtype.itemsize > nbytes:
        raise DataFault(f"{where}: too few bytes for an array of shape {shape}")
    numbers = np.empty(size)
    step = _PIECE // dtype.itemsize
    with Meter(f"reading {Path(where).name}", size * dtype.itemsize) as meter:
        for start in range(0, size, step):
            check()
            meter.at(start * dtype.itemsize)
            part = numbers[start : start + step]
            content = file.read(part.size * dtype.itemsize)
            if len(content) < part.size * dtype.itemsize:
                raise DataFault(f"{where}: cut short; the array has the shape {shape}")
            part[:] = np.frombuffer(content, dtype)
    return numbers.reshape(shape, order="F" if by_columns else "C")


def member_names(path: Path) -> list[str]:
    """Return the names of the arrays of an npz file, in its order; raise `DataFault` if it is none."""
    with _archive(path) as archive:
        return [each.removesuffix(".npy") for each in archive.namelist()]


def read_member(path: Path, name: str, check: Check) -> NDArray[np.float64]:
    """Return the array `name` of an npz file; raise `DataFault`."""
    names = member_names(path)
    if name not in names:
        raise DataFault(f"{path}: no array {name!r}; it has: {', '.join(names)}")
    with _archive(path) as archive:
        info = archive.infolist()[names.index(name)]
        with archive.open(info) as member:
            nbytes = min(info.file_size, MOST_DEFLATED * info.compress_size)
            return read_array(cast(BinaryIO, member), f"{path}, {name}", nbytes, check)


@contextmanager
def _archive(path: Path) -> Iterator[ZipFile]:
    try:
        with opened(path) as (content, *_), ZipFile(content) as archive:
            yield archive
    except (BadZipFile, struct.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataFault(f"{path}: not a whole npz file ({error})") from error


def as_rows(
    X: NDArray[np.float64], y: NDArray[np.float64], file: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return features as rows, shape (n, d), and labels, shape (n,).

    The first dimension of `X` counts the rows, and all others together the features. `y` may be one column.

    Raises:
        DataFault: they do not fit; a `RowFault` if a number is not finite.
    """
    n = len(X) if X.ndim else 0
    if y.shape not in ((n,), (n, 1)):
        raise DataFault(f"{file}: features of shape {X.shape} and labels of shape {y.shape}: not a label for each row")
    X, y = np.ascontiguousarray(X.reshape(n, -1)), y.reshape(n)
    for wrong, what in ((~np.isfinite(y), "the label"), (~np.isfinite(X).all(axis=1), "a feature")):
        if wrong.any():
            raise RowFault(file, int(np.argmax(wrong)), f"{what} is not finite")
    return X, y
