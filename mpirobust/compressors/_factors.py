"""The wire format of a matrix of low rank: the entries of two factors, in float32."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from mpirobust.compressors._blocks import add_by_blocks, norm_by_blocks
from mpirobust.compressors.base import Code, expect_length
from mpirobust.errors import Malformed
from mpirobust.types import Message, Vector

_VALUE = np.dtype("<f4")


def shape(dim: int) -> tuple[int, int]:
    """Return the numbers of rows and columns of the matrix of a vector, ⌊√d⌋ rows; its end is padded with zeros."""
    rows = isqrt(dim)
    return rows, -(-dim // rows)


def factors_nbytes(dim: int, k: int) -> int:
    """Return the length of a message of two factors of `k` columns."""
    return k * sum(shape(dim)) * _VALUE.itemsize


@dataclass(frozen=True)
class Factors(Code):
    """`left @ right.T`, a matrix of rank `k` at most."""

    dim: int
    k: int

    @abstractmethod
    def factors(self, unit: NDArray[np.float64], rng: np.random.Generator) -> tuple[Vector, Vector]:
        """Return left and right, shapes (rows, k) and (columns, k), for a matrix whose largest entry is 1 or -1."""

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        rows, columns = shape(v.size)
        largest = np.abs(v).max()
        if not 0 < largest < np.inf:  # zero, or unsound, and the center sees it
            return np.full(self.k * (rows + columns), largest * 0, _VALUE).tobytes()
        unit = np.zeros((rows, columns))
        unit.ravel()[: v.size] = v / largest
        left, right = self.factors(unit, rng)
        with np.errstate(over="ignore"):
            return b"".join(factor.astype(_VALUE).tobytes() for factor in (largest * left, right))

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, factors_nbytes(self.dim, self.k))
        if not np.isfinite(np.frombuffer(message, _VALUE)).all():
            raise Malformed("an entry of a factor is not finite")
        return norm_by_blocks(self, message, q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        add_by_blocks(self, out, weights, messages)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        rows, columns = shape(self.dim)
        first, last = start // columns, -(-(start + out.shape[1]) // columns)
        within = slice(start - first * columns, start - first * columns + out.shape[1])
        for row, message in zip(out, messages, strict=True):
            factors = np.frombuffer(message, _VALUE).astype(np.float64).reshape(-1, self.k)
            some, right = factors[first:last], factors[rows:]
            block = np.zeros((last - first, columns))
            for j in range(self.k):  # not a matrix product, whose rounding depends on where the block ends
                block += some[:, j, None] * right[:, j]
            row[:] = block.ravel()[within]
