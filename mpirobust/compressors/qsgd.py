from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from mpirobust.components import Field, component
from mpirobust.compressors._levels import LevelsCode, max_nbytes
from mpirobust.compressors.base import Code, Compressor
from mpirobust.types import Layout, Vector


@component
class QSGD(Compressor):
    """`Q(x)_i = ||x||/s · sign(x_i) · ξ_i`, ξ_i = s|x_i|/||x|| rounded up or down at random (Alistarh et al. 2017).

    A float32 norm and entropy-coded levels (P1 §3 ex. 3); s = 1 is the one-bit QSGD of P2 §4. Unbiased.
    `E||Q(x) - x||² ≤ d/(4s²) ||x||²`, and for s = 1 it is `||x||₁||x|| - ||x||² ≤ (√d - 1)||x||²`: a δ needs s > √d/2.

    Attributes:
        levels: s, levels between zero and the norm; 1 is the one-bit code.
    """

    levels: Annotated[int, Field(gt=0, le=2**15)]

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Drawn(layout.dim, self.levels)

    def max_nbytes(self, layout: Layout) -> int:
        return max_nbytes(layout.dim, self.levels)

    def fixed_length(self) -> bool:
        return False

    def delta(self, layout: Layout) -> float | None:
        error = layout.dim**0.5 - 1 if self.levels == 1 else layout.dim / (4 * self.levels**2)
        return 1 - error - 2.0**-20 if error < 1 - 2.0**-20 else None  # less the rounding of the norm


@dataclass(frozen=True)
class _Drawn(LevelsCode):
    def scale(self, v: Vector) -> float:
        return float(np.sqrt(v @ v))

    def round(self, exact: Vector, rng: np.random.Generator) -> Vector:
        return np.floor(exact + rng.random(exact.size))
