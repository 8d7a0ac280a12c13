from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Field, component
from mpirobust.compressors._blocks import blocks
from mpirobust.compressors._rice import Packed, max_nbytes, pack
from mpirobust.compressors.base import Code, Compressor
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Layout, Message, Vector

_NORM = np.dtype("<f4")


@component
class QSGD(Compressor):
    """`Q(x)_i = ||x||/s · sign(x_i) · ξ_i`, ξ_i = s|x_i|/||x|| rounded up or down at random (Alistarh et al. 2017).

    A float32 norm and entropy-coded levels (P1 §3 ex. 3); s = 1 is the one-bit QSGD of P2 §4. Unbiased.
    `E||Q(x) - x||² ≤ d/(4s²) ||x||²`, and for s = 1 it is `||x||₁||x|| - ||x||² ≤ (√d - 1)||x||²`: a δ needs s > √d/2.
    """

    levels: Annotated[int, Field(gt=0, le=2**15)]

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Levels(layout.dim, self.levels)

    def max_nbytes(self, layout: Layout) -> int:
        return _NORM.itemsize + max_nbytes(layout.dim, self.levels)

    def fixed_length(self) -> bool:
        return False

    def delta(self, layout: Layout) -> float | None:
        error = layout.dim**0.5 - 1 if self.levels == 1 else layout.dim / (4 * self.levels**2)
        return 1 - error - 2.0**-20 if error < 1 - 2.0**-20 else None  # less the rounding of the norm


@dataclass(frozen=True)
class _Levels(Code):
    dim: int
    levels: int

    def encode(self, v: Vector, rng: np.random.Generator) -> bytes:
        with np.errstate(over="ignore", invalid="ignore"):  # a norm that overflows is unsound, and the center sees it
            norm = np.array(np.sqrt(v @ v), _NORM)
        levels = np.zeros(v.size, np.int64)
        if 0 < norm < np.inf:
            exact = np.abs(v) * (self.levels / float(norm))
            rounded = np.floor(exact + rng.random(v.size)).astype(np.int64)
            levels = np.where(v < 0, -1, 1) * np.minimum(rounded, self.levels)
        return norm.tobytes() + pack(levels, self.levels)

    def norm(self, message: Message, q: float) -> float:
        unit, packed = self._open(message)
        if not 0 <= unit < np.inf:
            raise Malformed("the norm is negative or not finite")
        magnitudes = np.concatenate([np.abs(packed.segment(here.start)[1]) for here in blocks(self.dim)])
        return unit * q_norm(magnitudes.astype(np.float64), q)

    def add_to(self, out: Vector, weights: NDArray[np.float64], messages: Sequence[Message]) -> None:
        for weight, message in zip(weights, messages, strict=True):
            unit, packed = self._open(message)
            for here in blocks(out.size):
                places, levels = packed.segment(here.start)
                out[here.start + places] += weight * (unit * levels)

    def fill(self, out: NDArray[np.float64], messages: Sequence[Message], start: int) -> None:
        out[:] = 0
        for row, message in zip(out, messages, strict=True):
            unit, packed = self._open(message)
            places, levels = packed.segment(start)
            within = np.searchsorted(places, row.size)
            row[places[:within]] = unit * levels[:within]

    def _open(self, message: Message) -> tuple[float, Packed]:
        """Return the value of one level, and the levels."""
        if len(message) < _NORM.itemsize:
            raise Malformed("too short for a norm")
        unit = float(np.frombuffer(message, _NORM, 1)[0]) / self.levels
        return unit, Packed(memoryview(message)[_NORM.itemsize :], self.dim, self.levels)
