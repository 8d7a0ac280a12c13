"""The wire format that the sparsifiers share: ascending positions, then the values.

Ascending numbers below `limit` as Elias and Fano code them (Elias 1974): the low bits of each, and the high parts as a
string of zeros (one for each step up) and ones (one for each number). That is about log2(limit/k) + 2 bits a number,
and the length depends on `limit` and `k` alone. Fewer than eight numbers are the digits of one in base `limit`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.errors import Malformed
from mpirobust.types import Message

VALUE = np.dtype("<f4")
_FEW = 8


def scatter(row: NDArray[np.float64], start: int, positions: NDArray[np.int64], values: NDArray[np.floating]) -> None:
    """Write the entries of a sparse vector that fall into `start ... start + row.size`, and zeros elsewhere."""
    first, last = positions.searchsorted([start, start + row.size])
    row[:] = 0
    row[positions[first:last] - start] = values[first:last]


@cache
def position_nbytes(limit: int, k: int) -> int:
    """Return the bytes of `k` ascending positions below `limit`: at most log2(limit) bits each, rounded up in total."""
    bits = (limit**k - 1).bit_length() if k < _FEW else k * _low(limit, k) + _high(limit, k)
    return (bits + 7) // 8


def pack_positions(positions: NDArray[np.intp], limit: int) -> bytes:
    """Return the code of ascending positions below `limit`; some may be equal. Zeros pad it to the byte."""
    k = positions.size
    if k < _FEW:
        number = 0
        for position in positions.tolist():
            number = number * limit + position
        return number.to_bytes(position_nbytes(limit, k), "big")
    return kernels.pack_ascending(positions.astype(np.int64, copy=False), limit, _low(limit, k))


def unpack_positions(message: Message, limit: int, k: int) -> NDArray[np.int64]:
    """Return the `k` positions at the start of `message`, ascending, of which some may be equal.

    Raises:
        Malformed: not ascending, or not below `limit`.
    """
    packed = np.frombuffer(message, np.uint8, position_nbytes(limit, k))
    if k >= _FEW:
        return kernels.unpack_ascending(packed, k, limit, _low(limit, k))
    number, digits = int.from_bytes(packed.tobytes(), "big"), []
    for _ in range(k):
        number, digit = divmod(number, limit)
        digits.append(digit)
    if number or digits != sorted(digits, reverse=True):
        raise Malformed("positions are not ascending below the dimension")
    return np.array(digits[::-1], np.int64)


def positions_within(message: Message, limit: int, k: int, start: int, stop: int) -> tuple[int, NDArray[np.int64]]:
    """Return how many of the positions are below `start`, and those in [start, stop).

    They are those of a message that `unpack_positions` has taken, and no two are equal.
    """
    if k >= _FEW:
        packed = np.frombuffer(message, np.uint8, position_nbytes(limit, k))
        return kernels.unpack_within(packed, k, limit, _low(limit, k), start, stop)
    positions = unpack_positions(message, limit, k)
    first, last = positions.searchsorted([start, stop]).tolist()
    return first, positions[first:last]


@cache
def _low(limit: int, k: int) -> int:
    """Return the number of low bits with which `k` positions take the least."""
    return min(range(limit.bit_length()), key=lambda low: k * low + ((limit - 1) >> low))


def _high(limit: int, k: int) -> int:
    return k + ((limit - 1) >> _low(limit, k))
