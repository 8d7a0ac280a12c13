from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mpirobust.component import component
from mpirobust.compressors.base import Compressor, expect_length
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Vector


@component
class Identity(Compressor):
    """No compression (δ = 1): d numbers of 8 bytes, or of 4 where float32 is asked for."""

    dtype: Literal["float64", "float32"] = "float64"

    @property
    def _wire(self) -> np.dtype[np.floating]:
        return np.dtype("<f8" if self.dtype == "float64" else "<f4")

    def admit(self, dim: int) -> None:
        pass

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore"):  # a value that overflows is unsound, and the center sees it
            return v.astype(self._wire, copy=False).tobytes()

    def norm(self, message: Message, dim: int, q: float) -> float:
        expect_length(message, self.max_nbytes(dim))
        return q_norm(np.frombuffer(message, self._wire).astype(np.float64, copy=False), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            out += weight * np.frombuffer(message, self._wire)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], dim: int, start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            row[:] = np.frombuffer(message, self._wire, row.size, offset=start * self._wire.itemsize)

    def max_nbytes(self, dim: int) -> int:
        return dim * self._wire.itemsize

    def fixed_length(self) -> bool:
        return True

    def delta(self, dim: int) -> float | None:
        return 1.0 if self.dtype == "float64" else 1.0 - 2.0**-48
