from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.components import Count, component
from mpirobust.compressors._sparse import VALUE, scatter
from mpirobust.compressors.base import FLOAT32_DELTA, Code, Compressor, expect_length
from mpirobust.errors import PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector


@component
class RandomK(Compressor):
    """k entries at random, float32; δ = k/d (Stich et al. 2018); their positions are shared randomness, not sent.

    Attributes:
        k: entries that are sent, of d.
    """

    k: Count

    def admit(self, layout: Layout) -> None:
        if self.k > layout.dim:
            raise PlanFault("k", f"{self.k} is more than the dimension {layout.dim}; choose 1 to {layout.dim}")

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Entries(layout.dim, np.sort(stream.choice(layout.dim, self.k, replace=False, shuffle=False)))

    def draws_for_each(self) -> bool:
        return True

    def max_nbytes(self, layout: Layout) -> int:
        return self.k * VALUE.itemsize

    def delta(self, layout: Layout) -> float | None:
        return min(self.k / layout.dim, FLOAT32_DELTA)


@dataclass(frozen=True)
class _Entries(Code):
    dim: int
    positions: NDArray[np.intp]

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore"):  # a value that overflows is unsound, and the center sees it
            return v[self.positions].astype(VALUE).tobytes()

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.positions.size * VALUE.itemsize)
        return q_norm(np.frombuffer(message, VALUE).astype(np.float64), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            kernels.add_at(self.positions, weight * np.frombuffer(message, VALUE), out)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            scatter(row, start, self.positions, np.frombuffer(message, VALUE))
