from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.compressors.base import FLOAT32_DELTA, Code, Compressor, expect_length
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector


@component
class Identity(Compressor):
    """No compression (δ = 1): d numbers of 8 bytes, or of 4 with `dtype = "float32"`.

    Attributes:
        dtype: 8 or 4 bytes a number.
    """

    dtype: Literal["float64", "float32"] = "float64"

    @property
    def _wire(self) -> np.dtype[np.floating]:
        return np.dtype("<f8" if self.dtype == "float64" else "<f4")

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Numbers(layout.dim, self._wire)

    def max_nbytes(self, layout: Layout) -> int:
        return layout.dim * self._wire.itemsize

    def delta(self, layout: Layout) -> float | None:
        return 1.0 if self.dtype == "float64" else FLOAT32_DELTA


@dataclass(frozen=True)
class _Numbers(Code):
    dim: int
    wire: np.dtype[Any]

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore"):  # a value that overflows is unsound, and the center sees it
            return v.astype(self.wire, copy=False).tobytes()

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, self.dim * self.wire.itemsize)
        return q_norm(np.frombuffer(message, self.wire).astype(np.float64, copy=False), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            out += weight * np.frombuffer(message, self.wire)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            row[:] = np.frombuffer(message, self.wire, row.size, offset=start * self.wire.itemsize)
