"""The loops of kernels/src in NumPy, bit for bit; the signatures are those of the compiled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import Malformed
from mpirobust.kernels.rice import pack_integers as pack_integers
from mpirobust.kernels.rice import unpack_integers as unpack_integers
from mpirobust.kernels.svmlight import wrong_line as wrong_line
from mpirobust.types import Vector

_TRITS = (np.arange(3**5)[:, None] // 3 ** np.arange(5) % 3 - 1).astype(np.int8)
_BLOCK = 8192  # coordinates at a time: what is between stays in the cache


def count(rows: Sequence[NDArray[np.uint8]], out: NDArray[np.uint32]) -> None:
    out[:] = 0
    for where, bits in _bits(rows, out.size):
        out[where] = bits.sum(axis=0, dtype=np.uint32)


def order(rows: Sequence[NDArray[np.uint8]], values: NDArray[np.float64], place: int, out: Vector) -> None:
    for where, places in _places(rows, out.size):
        out[where] = values[np.sort(places, axis=1)[:, place]]


def add(rows: Sequence[NDArray[np.uint8]], weights: NDArray[np.float64], out: Vector) -> None:
    for first in range(0, len(rows), 8):
        group = weights[first : first + 8].tolist()
        sums = np.array([-group[0], group[0]])  # of the signs that the bits of a number say, the first row's first
        for weight in group[1:]:
            sums = np.add.outer(sums, [-weight, weight]).ravel()
        for where, bits in _bits(rows[first : first + 8], out.size):
            out[where] += sums[np.packbits(bits, axis=0)[0] >> (8 - len(group))]


def trim(rows: Sequence[NDArray[np.uint8]], values: NDArray[np.float64], cut: int, out: Vector) -> None:
    n = len(rows)
    out[:] = 0
    for where, places in _places(rows, out.size):
        for place in np.sort(places, axis=1)[:, cut : n - cut].T:
            out[where] += values[place]


def compare(rows: Sequence[NDArray[np.uint8]], dim: int, out: NDArray[np.int64]) -> None:
    words = np.zeros((len(rows), (dim + 63) // 64 * 8), np.uint8)
    for word, row in zip(words, rows, strict=True):
        word[: (dim + 7) // 8] = row[: (dim + 7) // 8]
    if dim % 8:
        words[:, dim // 8] &= 0xFF << (8 - dim % 8) & 0xFF
    whole = words.view(np.uint64)
    for i in range(len(whole)):
        out[i] = np.bitwise_count(whole ^ whole[i]).sum(axis=1, dtype=np.int64)


def pack(v: Vector, out: NDArray[np.uint8]) -> int:
    out[:] = np.packbits(v >= 0)
    return v.size - int(np.count_nonzero(v))


def add_exact(v: Vector, units: NDArray[np.float64], top: float, limbs: NDArray[np.int64]) -> bool:
    largest = np.abs(v).max(initial=0.0)
    if not largest < top:
        return False
    for start in range(0, v.size, _BLOCK):
        rest = v[start : start + _BLOCK].astype(np.float64)
        for limb, unit in zip(limbs[:, start : start + _BLOCK], units.tolist(), strict=True):
            if unit > largest:
                continue
            whole = np.trunc(rest * (1 / unit))  # exact, as is the next: powers of two
            limb += whole.astype(np.int64)
            whole *= unit
            rest -= whole  # exact: the leading bits of rest go away
    return True


def _bits(rows: Sequence[NDArray[np.uint8]], dim: int) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Yield the bits, shape (n, at most _BLOCK), some coordinates at a time."""
    for start in range(0, dim if rows else 0, _BLOCK):
        stop = min(start + _BLOCK, dim)
        packed = np.stack([row[start // 8 : (stop + 7) // 8] for row in rows])
        yield slice(start, stop), np.unpackbits(packed, axis=1, count=stop - start)


def _places(rows: Sequence[NDArray[np.uint8]], dim: int) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Yield the place of each entry among the values, shape (at most _BLOCK, n), some coordinates at a time."""
    n, k = len(rows), np.arange(len(rows))
    for where, bits in _bits(rows, dim):
        yield where, np.where(bits, (n + k)[:, None], (n - 1 - k)[:, None]).T


def add_at(places: NDArray[np.int64], terms: NDArray[np.float64], out: Vector) -> None:
    out[places] += terms


def trits(row: NDArray[np.uint8], scale: float, out: Vector) -> None:
    np.multiply(_TRITS[row[: -(-out.size // 5)]].ravel()[: out.size], scale, out=out)


def add_trits(
    rows: Sequence[NDArray[np.uint8]],
    block: int,
    scales: NDArray[np.float64],
    weights: NDArray[np.float64],
    out: Vector,
) -> None:
    for start in range(0, out.size, block):
        here = out[start : start + block]
        terms = np.empty_like(here)
        for row, scale, weight in zip(rows, scales.tolist(), weights.tolist(), strict=True):
            trits(row[start // block * -(-block // 5) :], scale, terms)
            here += weight * terms


def pack_ascending(numbers: NDArray[np.int64], limit: int, low: int) -> bytes:
    steps = np.zeros(numbers.size + (limit - 1 >> low), np.uint8)
    steps[(numbers >> low) + np.arange(numbers.size)] = 1
    rest = (numbers[:, None] >> np.arange(low)[::-1] & 1).astype(np.uint8)
    return np.packbits(np.concatenate([steps, rest.ravel()])).tobytes()


def unpack_ascending(code: NDArray[np.uint8], limit: int, low: int, numbers: NDArray[np.int64]) -> None:
    k = numbers.size
    high = k + (limit - 1 >> low)
    bits = np.unpackbits(code, count=high + k * low)
    ones = np.flatnonzero(bits[:high])
    if ones.size != k:
        raise Malformed("not as many positions as expected")
    numbers[:] = (ones - np.arange(k)) << low | bits[high:].reshape(k, low) @ (1 << np.arange(low)[::-1])
    if numbers[-1] >= limit or (numbers[1:] < numbers[:-1]).any():
        raise Malformed("positions are not ascending below the dimension")


def unpack_within(
    code: NDArray[np.uint8], count: int, limit: int, low: int, start: int, stop: int, numbers: NDArray[np.int64]
) -> tuple[int, int]:
    every = np.empty(count, np.int64)
    unpack_ascending(code, limit, low, every)
    first, last = np.searchsorted(every, [start, stop]).tolist()
    numbers[: last - first] = every[first:last]
    return first, last - first
