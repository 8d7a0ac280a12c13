"""The codes of compressors/_rice.py in NumPy, bit for bit those of codes.cpp, without a loop over integers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import Malformed

Bits = NDArray[np.uint8]
Integers = NDArray[np.int64]

_MOST_LAYERS = 15
_W = 5  # bits of w
_LAYER = 5  # bits of a layer's head


@dataclass
class _Stream:
    """One layer, or the tail: its head and its bits in each segment."""

    head: Bits
    bits: list[Bits]

    def cost(self) -> int:
        lengths = [each.size for each in self.bits]
        return self.head.size + _W + sum(lengths) + max(lengths).bit_length() * len(lengths)


def pack_integers(integers: NDArray[np.int32], top: int, block: int) -> bytes:
    whole = integers.astype(np.int64)
    parts = [whole[start : start + block] for start in range(0, whole.size, block)]
    most = (block - 1).bit_length()
    layers: list[_Stream] = []
    costs: list[int] = []
    tails: list[_Stream | None] = []
    while len(layers) < min(top, _MOST_LAYERS):
        bar = len(layers) + 1
        above = [np.abs(part) >= bar for part in parts]
        parts = [part[over] for part, over in zip(parts, above, strict=True)]
        layers.append(_layer(above, parts if bar == 1 else None, most))
        rest = [np.abs(part) - bar for part in parts]
        tails.append(_tail(rest) if any(each.any() for each in rest) else None)
        last = tails[-1]
        costs.append(sum(each.cost() for each in layers) + (last.cost() if last else 0))
        if not last or costs[-1] > costs[max(len(costs) - 2, 0)]:
            break
    used = int(np.argmin(costs)) + 1
    tail = tails[used - 1]
    streams = layers[:used] + ([tail] if tail else [])
    head = [_binary(np.array([2 * used + (tail is not None)]), 5)] if top > 1 else []
    lengths = []
    for j, stream in enumerate(streams):
        sizes = np.array([each.size for each in stream.bits[: len(parts) - (j == len(streams) - 1)]], np.int64)
        width = int(sizes.max(initial=0)).bit_length()
        lengths += [_binary(np.array([width]), _W), _binary(sizes, width)] if sizes.size else []
    heads = [stream.head for stream in [*([tail] if tail else []), *layers[:used]]]
    body = [stream.bits[i] for i in range(len(parts)) for stream in streams]
    return np.packbits(np.concatenate([*head, *heads, *lengths, *body, np.ones(1, np.uint8)])).tobytes()


def _layer(above: list[NDArray[np.bool_]], signed: list[Integers] | None, most: int) -> _Stream:
    inverted = 2 * sum(map(np.count_nonzero, above)) > sum(each.size for each in above)
    places = [np.flatnonzero(each != inverted) for each in above]
    runs = [np.diff(each, prepend=-1) - 1 for each in places]
    b = _best(runs, most)
    if b == 0 and inverted:  # no longer without, and then the length tells n
        return _layer_of([np.diff(np.flatnonzero(each), prepend=-1) - 1 for each in above], 0, False, signed)
    return _layer_of(runs, b, inverted, signed)


def _layer_of(runs: list[Integers], b: int, inverted: bool, signed: list[Integers] | None) -> _Stream:
    bits = [np.concatenate([_unary(run >> b), _binary(run, b)]) for run in runs]
    if signed is not None:
        bits = [np.concatenate([one, (part < 0).astype(np.uint8)]) for one, part in zip(bits, signed, strict=True)]
    return _Stream(_binary(np.array([2 * b + inverted]), _LAYER), bits)


def _tail(values: list[Integers]) -> _Stream:
    k = _best(values, 15)
    return _Stream(
        _binary(np.array([k]), 4), [np.concatenate([_binary(each, k), _unary(each >> k)]) for each in values]
    )


def unpack_integers(
    code: NDArray[np.uint8],
    count: int,
    top: int,
    block: int,
    start: int,
    places: NDArray[np.int64],
    values: NDArray[np.int32],
) -> int:
    packed, found = _Packed(code, count, top, block), 0
    for at in range(start, start + places.size, block):
        where, what = packed.segment(at)
        here = slice(found, found + where.size)
        places[here], values[here] = where + (at - start), what
        found += where.size
    return found


class _Packed:
    """A code that a stranger sent; each segment is checked when it is read."""

    def __init__(self, code: NDArray[np.uint8], count: int, top: int, block: int) -> None:
        self._bytes = code
        last = int(code[-1])
        self._at, self._end = 0, 8 * code.size - (last & -last).bit_length()
        self._count, self._top, self._block = count, top, block
        layers, self._tail = divmod(int(self._read(1, 5)[0]), 2) if top > 1 else (1, 0)
        self._k = int(self._read(1, 4)[0]) if self._tail else 0
        self._layers = [divmod(each, 2) for each in self._read(layers, _LAYER).tolist()]
        if not layers or max(self._layers)[0] > (block - 1).bit_length():
            raise Malformed("a layer has no such code")
        segments, streams = -(-count // block), layers + self._tail
        lengths = np.zeros((segments, streams), np.int64)
        for j in range(streams):
            sent = segments - (j == streams - 1)
            lengths[:sent, j] = self._read(sent, int(self._read(1, _W)[0])) if sent else []
        ends = self._at + np.cumsum(lengths)
        if ends[-1] > self._end:
            raise Malformed("the segments are longer than the message")
        ends[-1] = self._end
        self._cuts = np.concatenate([[self._at], ends])

    def segment(self, start: int) -> tuple[Integers, Integers]:
        """Return the positions of the non-zeros in the segment that begins at `start`, ascending, and their values.

        Raises:
            Malformed: this segment is no code of as many integers of the allowed magnitude.
        """
        streams = len(self._layers) + self._tail
        at = start // self._block * streams
        cuts = self._cuts[at : at + streams + 1].tolist()
        parts = [self._bits(begin, end - begin) for begin, end in pairwise(cuts)]
        above, at = self._above(0, parts[0], min(self._block, self._count - start))
        places = np.flatnonzero(above)
        negative = parts[0][at:]
        values = np.ones(places.size, np.int64)
        over = np.arange(places.size)  # which of them may still be larger
        for j in range(1, len(self._layers)):
            above, _ = self._above(j, parts[j], over.size)
            over = over[above]
            values[over] += 1
        if self._tail:
            low = parts[-1][: over.size * self._k]
            ones = np.flatnonzero(parts[-1][low.size :])
            if ones.size != over.size or low.size + (ones[-1] + 1 if ones.size else 0) != parts[-1].size:
                raise Malformed("a tail of another length")
            values[over] += (np.diff(ones, prepend=-1) - 1) << self._k | _numbers(low, over.size, self._k)
        if values.max(initial=0) > self._top:
            raise Malformed("a magnitude is out of its range")
        return places, np.where(negative, -values, values)

    def _above(self, layer: int, bits: Bits, size: int) -> tuple[NDArray[np.bool_], int]:
        """Return which of `size` integers reach the layer, and the position in `bits` at which the signs begin."""
        b, inverted = self._layers[layer]
        ones = np.flatnonzero(bits)
        numbers = np.arange(ones.size + 1)
        lengths = np.append(0, ones + 1) + numbers * b
        signs = 0 if layer else size - numbers if inverted else numbers
        n = int(np.searchsorted(lengths + signs, bits.size))
        if n > min(ones.size, size) or (lengths + signs)[n] != bits.size:
            raise Malformed("no number of runs gives the length of a layer")
        high = np.diff(ones[:n], prepend=-1) - 1
        unary = int(ones[n - 1]) + 1 if n else 0
        marks = np.cumsum((high << b | _numbers(bits[unary:], n, b)) + 1) - 1
        if n and marks[-1] >= size:
            raise Malformed("a run ends beyond the last integer")
        above = np.full(size, bool(inverted))
        above[marks] = not inverted
        return above, int(lengths[n])

    def _read(self, count: int, width: int) -> Integers:
        """Return the next numbers of the head."""
        self._at += count * width
        return _numbers(self._bits(self._at - count * width, count * width), count, width)

    def _bits(self, at: int, count: int) -> Bits:
        if at + count > self._end:
            raise Malformed("shorter than its head says")
        return np.unpackbits(self._bytes[at // 8 : (at + count + 7) // 8])[at % 8 :][:count]


def _best(parts: list[Integers], most: int) -> int:
    """Return the parameter that takes the fewest bits, of 0 and those around the logarithm of the mean."""
    values = np.concatenate(parts)
    near = (int(values.sum()) // max(values.size, 1)).bit_length()
    tried: list[int] = [0, *range(max(near - 1, 1), min(near + 1, most) + 1)]
    costs = [values.size * (low + 1) + int((values >> low).sum()) for low in tried]
    return tried[costs.index(min(costs))]


def _unary(values: Integers) -> Bits:
    bits = np.zeros(int(values.sum()) + values.size, np.uint8)
    bits[np.cumsum(values + 1) - 1] = 1
    return bits


def _binary(values: Integers, width: int) -> Bits:
    """Return the low bits of each value."""
    return (values[:, None] >> np.arange(width)[::-1] & 1).astype(np.uint8).ravel()


def _numbers(bits: Bits, count: int, width: int) -> Integers:
    """Return the values that `_binary` encoded, from the first of `bits`."""
    numbers: Integers = bits[: count * width].reshape(count, width) @ (1 << np.arange(width)[::-1])
    return numbers
