from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mpirobust.component import component
from mpirobust.compressors._sparse import VALUE, scatter
from mpirobust.compressors.base import Compressor, SharedCompressor, expect_length
from mpirobust.errors import PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Vector


@component
class RandomK(SharedCompressor):
    """k entries at random, float32; δ = k/d (Stich et al. 2018); where they stand is shared randomness, not sent."""

    k: Annotated[int, Field(gt=0)]

    def admit(self, dim: int) -> None:
        if self.k > dim:
            raise PlanFault("k", f"{self.k} is more than the dimension {dim}; choose 1 to {dim}")

    def draw(self, dim: int, shared: np.random.Generator) -> Compressor:
        return _Drawn(np.sort(shared.choice(dim, self.k, replace=False, shuffle=False)))

    def max_nbytes(self, dim: int) -> int:
        return self.k * VALUE.itemsize

    def fixed_length(self) -> bool:
        return True

    def delta(self, dim: int) -> float | None:
        return self.k / dim


class _Drawn(Compressor):
    def __init__(self, positions: NDArray[np.intp]) -> None:
        self._positions = positions

    def admit(self, dim: int) -> None:
        pass

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore"):  # a value that overflows is unsound, and the center sees it
            return v[self._positions].astype(VALUE).tobytes()

    def norm(self, message: Message, dim: int, q: float) -> float:
        expect_length(message, self.max_nbytes(dim))
        return q_norm(np.frombuffer(message, VALUE).astype(np.float64), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            out[self._positions] += weight * np.frombuffer(message, VALUE)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], dim: int, start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            scatter(row, start, self._positions, np.frombuffer(message, VALUE))

    def max_nbytes(self, dim: int) -> int:
        return self._positions.size * VALUE.itemsize

    def fixed_length(self) -> bool:
        return True

    def delta(self, dim: int) -> float | None:
        return self._positions.size / dim
