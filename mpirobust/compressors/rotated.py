from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Field, component
from mpirobust.compressors._blocks import add_by_blocks, blocks, norm_by_blocks
from mpirobust.compressors._hadamard import hadamard, padded
from mpirobust.compressors.base import BLOCK, Code, Compressor, expect_length
from mpirobust.errors import Malformed
from mpirobust.types import Layout, Message, Vector

_ENDS = np.dtype("<f4")


@component
class Rotated(Compressor):
    """A random rotation, then k levels between the least and the largest entry, at random (Suresh et al. 2017, §3).

    The rotation is a Hadamard matrix times random signs, which both ends draw; it acts on each BLOCK of coordinates
    (the last one padded with zeros to a power of two, n at most), of which two float32 and ⌈log2 k⌉ bits a coordinate
    cross. Unbiased, `E||Q(x) - x||² ≤ (2 ln n + 2)/(k - 1)² ||x||²`, and `≤ n/(2(k - 1)²) ||x||²` for every rotation.

    Attributes:
        levels: k, levels between the least and the largest entry.
    """

    levels: Annotated[int, Field(ge=2, le=2**15)]

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Rotation(layout.dim, self.levels, self.max_nbytes(layout), stream.bytes((_places(layout.dim) + 7) // 8))

    def draws_for_each(self) -> bool:
        return True

    def max_nbytes(self, layout: Layout) -> int:
        width = (self.levels - 1).bit_length()
        return len(blocks(layout.dim)) * 2 * _ENDS.itemsize + (_places(layout.dim) * width + 7) // 8

    def delta(self, layout: Layout) -> float | None:
        n = padded(min(layout.dim, BLOCK))
        error = min(2 * log(n) + 2, n / 2) / (self.levels - 1) ** 2 + 2.0**-20  # and the rounding of the ends
        return 1 - error if error < 1 else None


class _Rotation(Code):
    def __init__(self, dim: int, levels: int, nbytes: int, signs: bytes) -> None:
        self.dim, self._nbytes = dim, nbytes
        self._top, self._width = levels - 1, (levels - 1).bit_length()
        self._signs = np.frombuffer(signs, np.uint8)

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        ends, bits = [], []
        for here in blocks(v.size):
            n = padded(here.stop - here.start)
            x = np.zeros(n)
            x[: here.stop - here.start] = v[here]
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is unsound, and the center sees it
                y = hadamard(x * self._flips(here.start, n))
                least, largest = np.array([y.min(), y.max()], _ENDS).astype(np.float64)
                exact = (y - least) * (self._top / (largest - least) if largest > least else 0.0)
                levels = np.clip(np.nan_to_num(np.floor(exact + rng.random(n))), 0, self._top).astype(np.int64)
            ends.append([least, largest])
            bits.append((levels[:, None] >> np.arange(self._width) & 1).astype(np.uint8).ravel())
        with np.errstate(over="ignore"):
            return np.array(ends, _ENDS).tobytes() + np.packbits(np.concatenate(bits)).tobytes()

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self._nbytes)
        if not np.isfinite(np.frombuffer(message, _ENDS, 2 * len(blocks(self.dim)))).all():
            raise Malformed("an end is not finite")
        if any((self._levels(message, here.start) > self._top).any() for here in blocks(self.dim)):
            raise Malformed("a level is out of its range")
        return norm_by_blocks(self, message, q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        add_by_blocks(self, out, weights, messages)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            levels = self._levels(message, start)
            least, largest = np.frombuffer(message, _ENDS, 2, start // BLOCK * 2 * _ENDS.itemsize).astype(np.float64)
            y = least + (largest - least) / self._top * levels
            row[:] = (hadamard(y) * self._flips(start, y.size))[: row.size]

    def _levels(self, message: Message, start: int) -> NDArray[np.int64]:
        n, offset = padded(min(BLOCK, self.dim - start)), len(blocks(self.dim)) * 2 * _ENDS.itemsize
        packed = np.frombuffer(message, np.uint8, (n * self._width + 7) // 8, offset + start * self._width // 8)
        bits = np.unpackbits(packed, count=n * self._width).reshape(n, self._width)
        levels: NDArray[np.int64] = bits @ (1 << np.arange(self._width))
        return levels

    def _flips(self, start: int, n: int) -> NDArray[np.float64]:
        return np.where(np.unpackbits(self._signs[start // 8 :], count=n), -1.0, 1.0)


def _places(dim: int) -> int:
    """Return the number of coordinates, with the padding of the last block."""
    return dim // BLOCK * BLOCK + (padded(dim % BLOCK) if dim % BLOCK else 0)
