"""NumPy's format for arrays, read piece by piece: numbers only, never objects."""

from __future__ import annotations

import warnings
from math import prod
from tokenize import TokenError
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpirobust.data.reading import Check, Progress
from mpirobust.data.table import RowFault
from mpirobust.errors import DataFault

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
    progress, step = Progress(where, size, check), _PIECE // dtype.itemsize
    for start in range(0, size, step):
        progress.at(start)
        part = numbers[start : start + step]
        content = file.read(part.size * dtype.itemsize)
        if len(content) < part.size * dtype.itemsize:
            raise DataFault(f"{where}: cut short; the array has the shape {shape}")
        part[:] = np.frombuffer(content, dtype)
    return numbers.reshape(shape, order="F" if by_columns else "C")


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
