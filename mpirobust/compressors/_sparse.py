"""The wire format that the sparsifiers share: ascending positions, then the values.

Ascending numbers below `limit` as Elias and Fano code them (Elias 1974): the low bits of each, and the high parts as a
string of zeros (one for each step up) and ones (one for each number). That is about log2(limit/k) + 2 bits a number,
and the length depends on `limit` and `k` alone. Fewer than eight numbers are the digits of one in base `limit`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import Malformed
from mpirobust.types import Message

VALUE = np.dtype("<f4")
_FEW = 8


def scatter(row: NDArray[np.float64], start: int, positions: NDArray[np.intp], values: NDArray[np.floating]) -> None:
    """Write the entries of a sparse vector that fall into `start ... start + row.size`, and zeros elsewhere."""
    first, last = np.searchsorted(positions, [start, start + row.size])
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
    low = _low(limit, k)
    steps = np.zeros(_high(limit, k), np.uint8)
    steps[(positions >> low) + np.arange(k)] = 1
    rest = (positions[:, None] >> np.arange(low)[::-1] & 1).astype(np.uint8)
    return np.packbits(np.concatenate([steps, rest.ravel()])).tobytes()


def unpack_positions(message: Message, limit: int, k: int) -> NDArray[np.intp]:
    """Return the `k` positions at the start of `message`, ascending, of which some may be equal.

    Raises:
        Malformed: not ascending, or not below `limit`.
    """
    packed = np.frombuffer(message, np.uint8, position_nbytes(limit, k))
    if k < _FEW:
        number, digits = int.from_bytes(packed.tobytes(), "big"), []
        for _ in range(k):
            number, digit = divmod(number, limit)
            digits.append(digit)
        positions = np.array(digits[::-1], np.intp)
        beyond = number > 0
    else:
        low, high = _low(limit, k), _high(limit, k)
        bits = np.unpackbits(packed, count=high + k * low)
        ones = np.flatnonzero(bits[:high])
        if ones.size != k:
            raise Malformed("not as many positions as expected")
        positions = (ones - np.arange(k)) << low | bits[high:].reshape(k, low) @ (1 << np.arange(low)[::-1])
        beyond = positions[-1] >= limit
    if beyond or (positions[1:] < positions[:-1]).any():
        raise Malformed("positions are not ascending below the dimension")
    return positions


@cache
def _low(limit: int, k: int) -> int:
    """Return the number of low bits with which `k` positions take the least."""
    return min(range(limit.bit_length()), key=lambda low: k * low + ((limit - 1) >> low))


def _high(limit: int, k: int) -> int:
    return k + ((limit - 1) >> _low(limit, k))
