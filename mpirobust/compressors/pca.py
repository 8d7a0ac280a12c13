from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from mpirobust.components import Count, component
from mpirobust.compressors._blocks import add_by_blocks, norm_by_blocks
from mpirobust.compressors.base import Code, Compressor, expect_length
from mpirobust.errors import Malformed, PlanFault
from mpirobust.types import Layout, Message, Vector

_VALUE = np.dtype("<f4")


@component
class PCA(Compressor):
    """The best approximation of rank k of x as a matrix of ⌊√d⌋ rows (k-PCA, P1 §3 ex. 2; Wang et al. 2018).

    The rows' coordinates in the leading right singular vectors cross, and these vectors, in float32. The largest
    k of ⌊√d⌋ squared singular values hold at least their share of ||x||²: δ = k/⌊√d⌋, reached if all are
    equal. They come from the Gram matrix of the rows, so the cost grows as d^1.5.
    """

    k: Count

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Factors(layout.dim, self.k, self.max_nbytes(layout))

    def admit(self, layout: Layout) -> None:
        if self.k > isqrt(layout.dim):
            raise PlanFault("k", f"{self.k} is more than √{layout.dim}; choose 1 to {isqrt(layout.dim)}")

    def max_nbytes(self, layout: Layout) -> int:
        return self.k * sum(_shape(layout.dim)) * _VALUE.itemsize

    def delta(self, layout: Layout) -> float | None:
        rounding: float = 2.0**-22 * (1 + self.k**0.5)
        return self.k / isqrt(layout.dim) - rounding


@dataclass(frozen=True)
class _Factors(Code):
    dim: int
    k: int
    nbytes: int

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        rows, columns = _shape(v.size)
        largest = np.abs(v).max()
        if not 0 < largest < np.inf:  # zero, or unsound, and the center sees it
            return np.full(self.k * (rows + columns), largest * 0, _VALUE).tobytes()
        unit = np.zeros((rows, columns))
        unit.ravel()[: v.size] = v / largest
        _, left = eigh(unit @ unit.T, subset_by_index=[rows - self.k, rows - 1])
        right, _ = np.linalg.qr(unit.T @ left)
        with np.errstate(over="ignore"):
            factors = [largest * (unit @ right), right]
            return b"".join(factor.astype(_VALUE).tobytes() for factor in factors)

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.nbytes)
        if not np.isfinite(np.frombuffer(message, _VALUE)).all():
            raise Malformed("an entry of a factor is not finite")
        return norm_by_blocks(self, message, q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        add_by_blocks(self, out, weights, messages)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        rows, columns = _shape(self.dim)
        first, last = start // columns, -(-(start + out.shape[1]) // columns)
        within = slice(start - first * columns, start - first * columns + out.shape[1])
        for row, message in zip(out, messages, strict=True):
            factors = np.frombuffer(message, _VALUE).astype(np.float64).reshape(-1, self.k)
            some, right = factors[first:last], factors[rows:]
            block = np.zeros((last - first, columns))
            for j in range(self.k):  # not a matrix product, whose rounding depends on where the block ends
                block += some[:, j, None] * right[:, j]
            row[:] = block.ravel()[within]


def _shape(dim: int) -> tuple[int, int]:
    """Return the numbers of rows and columns of the matrix, whose end is padded with zeros."""
    rows = isqrt(dim)
    return rows, -(-dim // rows)
