"""Integers near zero to bits, close to their entropy: Golomb-Rice codes, layer by layer (Golomb 1966; Rice 1971).

Layer j says which of the integers of magnitude at least j - 1 are of magnitude at least j (the first: which are not
zero): the runs between those that are (or, where they are many, between those that are not), each run g as g >> b in
unary (zeros, then a one) and the low b bits of g. Layers are cheap where zeros abound and where they are rare. What
is left above the last layer is a tail of Rice codes. Most significant bit first:

    layers  4 bits, tail 1 bit, k 4 bits if there is a tail; all this only if magnitudes above 1 are allowed
    head    for each layer: b 4 bits, inverted 1 bit
    lengths for each layer and the tail: w 5 bits, then its length in each segment, w bits each
            (not of the last one in the last segment; no w if that leaves nothing)
    body    segment after segment, of BLOCK integers each: its layers, then its tail
    1       and zeros up to the byte

In a layer: n unary runs, n·b low bits; in the first also a sign for each non-zero (1: negative). In the tail: the low
k bits of each, then the unary parts. n is not sent: what n runs take grows strictly with n, so the length of the layer
tells it. `kernels` writes and reads it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.compressors._blocks import blocks
from mpirobust.compressors.base import BLOCK
from mpirobust.errors import Malformed
from mpirobust.types import Message


@cache
def max_nbytes(count: int, top: int) -> int:
    """Return the bytes of the longest code of `count` integers of magnitude at most `top`."""
    tail = top > 1
    body = count * (2 + tail * ((top - 1).bit_length() + 1))  # one layer with b = 0, and a tail; the best take no more
    parts = 2 * len(blocks(count)) if tail else len(blocks(count)) - 1
    lengths = (1 + tail) * 5 + parts * body.bit_length() if parts else 0
    return ((4 + 1 + 4) * tail + 5 + lengths + body + 1 + 7) // 8


def pack(integers: NDArray[np.signedinteger], top: int) -> bytes:
    """Return the code of integers of magnitude at most `top`, 1 ≤ top ≤ 2^15."""
    return kernels.pack_integers(integers, top, BLOCK)


class NonZeros:
    """Room for the non-zeros of one code after another.

    Args:
        count, top: how many integers a code is of, and their largest magnitude.
        width: the largest number of them that are read at a time.
    """

    def __init__(self, count: int, top: int, width: int) -> None:
        self._count, self._top = count, top
        self._longest = max_nbytes(count, top)
        self._places, self._values = np.empty(width, np.int64), np.empty(width, np.int32)

    def read(self, code: Message, start: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the positions, ascending and from `start` on, of the non-zeros in the next `width`, and their values.

        Raises:
            Malformed: the head of the code, or a segment that is read, is none; `start` is a multiple of BLOCK.
        """
        if not 0 < len(code) <= self._longest or not code[-1]:
            raise Malformed("no code: too short, too long, or without an end")
        width = min(self._places.size, self._count - start)
        places, values = self._places[:width], self._values[:width]
        packed = np.frombuffer(code, np.uint8)
        n = kernels.unpack_integers(packed, self._count, self._top, BLOCK, start, places, values)
        return places[:n], values[:n]
