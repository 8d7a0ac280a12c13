from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.components import Count, component
from mpirobust.compressors._sparse import VALUE, pack_positions, position_nbytes, positions_within, unpack_positions
from mpirobust.compressors.base import FLOAT32_DELTA, Code, Compressor, expect_length
from mpirobust.errors import Malformed, PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector


@component
class TopK(Compressor):
    """The k entries of largest magnitude, float32; δ = k/d (Stich et al. 2018; P1 §3 ex. 1).

    The positions take about log2(d/k) + 2 bits each.

    Attributes:
        k: entries that are sent, of d.
    """

    k: Count

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Largest(layout.dim, self.k, self.max_nbytes(layout))

    def admit(self, layout: Layout) -> None:
        if self.k > layout.dim:
            raise PlanFault("k", f"{self.k} is more than the dimension {layout.dim}; choose 1 to {layout.dim}")

    def max_nbytes(self, layout: Layout) -> int:
        return position_nbytes(layout.dim, self.k) + self.k * VALUE.itemsize

    def delta(self, layout: Layout) -> float | None:
        return min(self.k / layout.dim, FLOAT32_DELTA)


@dataclass(frozen=True)
class _Largest(Code):
    dim: int
    k: int
    nbytes: int

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        largest = np.sort(np.argpartition(np.abs(v), -self.k)[-self.k :])
        with np.errstate(over="ignore"):  # a value that overflows is unsound, and the center sees it
            return pack_positions(largest, v.size) + v[largest].astype(VALUE).tobytes()

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.nbytes)
        positions = unpack_positions(message, self.dim, self.k)
        if (positions[1:] == positions[:-1]).any():
            raise Malformed("a position stands there twice")
        return q_norm(self._values(message).astype(np.float64), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            kernels.add_at(unpack_positions(message, self.dim, self.k), weight * self._values(message), out)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            first, positions = positions_within(message, self.dim, self.k, start, start + row.size)
            row[:] = 0
            row[positions - start] = self._values(message)[first : first + positions.size]

    def _values(self, message: Message) -> NDArray[np.float32]:
        return np.frombuffer(message, VALUE, self.k, offset=position_nbytes(self.dim, self.k))
