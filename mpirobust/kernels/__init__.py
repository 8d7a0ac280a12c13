"""The few compiled loops, or their NumPy twins where nothing could be built. Both give the same bits.

The best that the processor can do is chosen at import; the variable MPIROBUST_KERNELS chooses another of `available()`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.types import Vector

NUMPY = "numpy"
_VARIABLE = "MPIROBUST_KERNELS"


def available() -> list[str]:
    """Return the names of the loops that this process can use, best first; `numpy` comes last."""
    return [*(_compiled.sets() if _compiled else []), NUMPY]


def in_use() -> str:
    """Return the name of the loops in use."""
    return _name


def use(name: str) -> None:
    """Use the loops `name` in this process from now on.

    Raises:
        SetupFault: it is none of `available()`.
    """
    global _loops, _name
    if name not in available():
        raise SetupFault(f"{_VARIABLE}={name}: not available here; choose from {', '.join(available())}")
    if name == NUMPY:
        from mpirobust.kernels import twins

        _loops, _name = twins, name
    else:
        _compiled.choose(name)
        _loops, _name = _compiled, name


def _built() -> Any:
    try:
        from mpirobust.kernels import _compiled
    except ImportError:  # installed without a compiler, or run from a source tree
        return None
    return _compiled


_compiled = _built()
_loops: Any
_name: str
use(os.environ.get(_VARIABLE) or available()[0])


def count(rows: Sequence[NDArray[np.uint8]], dim: int) -> NDArray[np.uint32]:
    """Return how many rows have each bit set, shape (dim,).

    Args:
        rows: packed bits, at least dim of each, the most significant bit of a byte first.
    """
    out = np.empty(dim, np.uint32)
    _loops.count(rows, out)
    return out


def order_statistic(rows: Sequence[NDArray[np.uint8]], values: NDArray[np.float64], place: int, dim: int) -> Vector:
    """Return the value at this place, from 0, of each coordinate of n vectors in ascending order, shape (dim,).

    Args:
        rows: as in `count`.
        values: shape (2n,), ascending: row k has the entries values[n - 1 - k] where its bit is not set and
            values[n + k] where it is.
    """
    out = np.empty(dim)
    _loops.order(rows, values, place, out)
    return out


def add_signs(rows: Sequence[NDArray[np.uint8]], weights: NDArray[np.float64], out: Vector) -> None:
    """Do `out[j] += Σ_k ±weights[k]`, + where bit j of row k is set.

    Eight rows at a time are summed in order, and the sum is added: that defines the rounding.
    """
    _loops.add(rows, weights, out)


def trimmed_sum(rows: Sequence[NDArray[np.uint8]], values: NDArray[np.float64], cut: int, dim: int) -> Vector:
    """Return the sum, in ascending order, of the entries of each coordinate but the `cut` lowest and highest, (dim,).

    Args:
        rows, values: as in `order_statistic`; more than 2 cut of them.
    """
    out = np.empty(dim)
    _loops.trim(rows, values, cut, out)
    return out


def differences(rows: Sequence[NDArray[np.uint8]], dim: int) -> NDArray[np.int64]:
    """Return in how many of the first `dim` bits each two of n rows differ, shape (n, n)."""
    out = np.empty((len(rows), len(rows)), np.int64)
    _loops.compare(rows, dim, out)
    return out


def pack(v: Vector) -> tuple[NDArray[np.uint8], int]:
    """Return the bits `v >= 0` as `np.packbits` packs them, and how many entries are 0; v is float32 or float64."""
    out = np.empty((v.size + 7) // 8, np.uint8)
    return out, _loops.pack(np.ascontiguousarray(v), out)


def add_exact(v: Vector, units: NDArray[np.float64], top: float, limbs: NDArray[np.int64]) -> bool:
    """Add `v` to a fixed-point sum and return True; add nothing and return False unless every |v[j]| < top.

    Args:
        v: shape (dim,), float32 or float64.
        units: of the limbs, descending powers of two; limb l gets the part of v in multiples of units[l] that the limbs
            before it leave. A unit above the largest |v[j]| gets nothing. None is below 2^-51 times the one before it,
            the first not below 2^-51 top.
        limbs: shape (4, dim), changed in place.
    """
    added: bool = _loops.add_exact(np.ascontiguousarray(v), units, top, limbs)
    return added


def pack_integers(integers: NDArray[np.signedinteger], top: int, block: int) -> bytes:
    """Return the Rice code (compressors/_rice.py) of integers of magnitude at most `top`, 1 ≤ top ≤ 2^15.

    A segment is `block` of them, 2 to 2^16.
    """
    code: bytes = _loops.pack_integers(np.ascontiguousarray(integers, np.int32), top, block)
    return code


def unpack_integers(
    code: NDArray[np.uint8],
    count: int,
    top: int,
    block: int,
    start: int,
    places: NDArray[np.int64],
    values: NDArray[np.int32],
) -> int:
    """Write the non-zeros among the integers from `start` on, and return how many there are.

    Args:
        code: of `count` integers of magnitude at most `top`, as a stranger sent it; the last byte is not 0.
        start: a multiple of `block`.
        places: gets the positions from `start`, ascending. As long as the integers that are read, whole segments.
        values: as long.

    Raises:
        Malformed: the head, or a segment that is read, is no such code.
    """
    found: int = _loops.unpack_integers(code, count, top, block, start, places, values)
    return found


def add_at(places: NDArray[np.int64], terms: NDArray[np.float64], out: Vector) -> None:
    """Do `out[places] += terms`; no place stands there twice."""
    _loops.add_at(places, terms, out)


def trits(row: NDArray[np.uint8], scale: float, out: Vector) -> None:
    """Do `out[j] = scale t_j` for the trits t_j in {-1, 0, 1} of a row.

    A byte below 3^5 is five trits plus 1 as digits, the lowest first.
    """
    _loops.trits(row, scale, out)


def add_trits(
    rows: Sequence[NDArray[np.uint8]],
    block: int,
    scales: NDArray[np.float64],
    weights: NDArray[np.float64],
    out: Vector,
) -> None:
    """Do `out[j] += weights[k] (scales[k] t_j)` for the trits t_j of row k, row after row.

    Args:
        rows: bytes as in `trits`; every `block` coordinates begin with a byte of their own.
    """
    _loops.add_trits(rows, block, scales, weights, out)


def pack_ascending(numbers: NDArray[np.int64], limit: int, low: int) -> bytes:
    """Return the Elias-Fano code (compressors/_sparse.py) of ascending numbers below `limit`, with `low` low bits."""
    code: bytes = _loops.pack_ascending(numbers, limit, low)
    return code


def unpack_ascending(code: NDArray[np.uint8], count: int, limit: int, low: int) -> NDArray[np.int64]:
    """Return the `count` numbers of a code that a stranger sent.

    Raises:
        Malformed: not as many, not ascending, or not below `limit`.
    """
    numbers = np.empty(count, np.int64)
    _loops.unpack_ascending(code, limit, low, numbers)
    return numbers


def unpack_within(
    code: NDArray[np.uint8], count: int, limit: int, low: int, start: int, stop: int
) -> tuple[int, NDArray[np.int64]]:
    """Return how many numbers of a code are below `start`, and those that are from `start` on and below `stop`.

    Args:
        code: as `unpack_ascending` has read it; no number stands there twice.
    """
    numbers = np.empty(min(count, stop - start), np.int64)
    below, found = _loops.unpack_within(code, count, limit, low, start, stop, numbers)
    return below, numbers[:found]


def wrong_line(text: bytes) -> int:
    """Return where the first line begins that is no row of LIBSVM text, or the length of the text.

    Args:
        text: whole lines, each ended by a newline, without comments.
    """
    at: int = _loops.wrong_line(text)
    return at
