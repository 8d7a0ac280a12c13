"""A compressor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust import component
from mpirobust.compressors.base import Code, Compressor, expect_length
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector


@component
class Half(Compressor):
    """Every entry relative to the largest in float16, beside the largest in float32."""

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Halves(layout.dim)

    def max_nbytes(self, layout: Layout) -> int:
        return 4 + 2 * layout.dim

    def delta(self, layout: Layout) -> float | None:
        # A float16 in [-1, 1] is off by 2^-11 of itself, or by 2^-25 if it is tiny.
        worst = 1 - (2.0**-11 + 2.0**-23 + 2.0**-24 * layout.dim**0.5) ** 2
        return worst if worst > 0 else None


@dataclass(frozen=True)
class _Halves(Code):
    dim: int

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is unsound, and the center sees it
            largest = np.array(np.abs(v).max(), "<f4")
            halves = v / float(largest) if largest > 0 else np.zeros(v.size)
            return largest.tobytes() + halves.astype("<f2").tobytes()

    def norm(self, message: Message, q: float) -> float:
        expect_length(message, 4 + 2 * self.dim)
        largest, halves = _parts(message)
        if largest < 0 or not np.isfinite(halves).all():
            raise Malformed("a negative scale, or an entry that is not finite")
        return largest * q_norm(halves, q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            largest, halves = _parts(message)
            out += weight * largest * halves

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        for row, message in zip(out, messages, strict=True):
            largest, halves = _parts(message)
            row[:] = largest * halves[start : start + row.size]


def _parts(message: Message) -> tuple[float, NDArray[np.float64]]:
    halves = np.frombuffer(message, "<f2", offset=4).astype(np.float64)
    return float(np.frombuffer(message, "<f4", 1)[0]), halves
