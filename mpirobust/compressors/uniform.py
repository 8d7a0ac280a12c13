from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from mpirobust.components import Field, component
from mpirobust.compressors._levels import LevelsCode, max_nbytes
from mpirobust.compressors.base import Code, Compressor
from mpirobust.types import Layout, Vector


@component
class Uniform(Compressor):
    """`Q(x)_i` is the nearest of 2^bits - 1 levels, evenly spaced from -M to M, M = max |x_i|; one of them is 0.

    A float32 M and entropy-coded levels; nothing is drawn. With L = 2^(bits-1) - 1 an entry errs by at most
    min(|x_i|, M/2L), and the largest by nothing. `||Q(x) - x||²/||x||²` is therefore greatest if all entries but one
    are M/2L, where they are rounded to 0: it is `(d-1)/(4L² + d-1)`, so that δ = 4L²/(4L² + d - 1). For entries like
    those of a Gaussian vector it is about `2 ln d/(12 L²)`. One bit would leave only the level 0: `l1-qsgd` has two.

    Attributes:
        bits: 2^bits - 1 levels.
    """

    bits: Annotated[int, Field(ge=2, le=8)] = 3

    @property
    def _levels(self) -> int:
        return (1 << self.bits - 1) - 1

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Nearest(layout.dim, self._levels)

    def max_nbytes(self, layout: Layout) -> int:
        return max_nbytes(layout.dim, self._levels)

    def fixed_length(self) -> bool:
        return False

    def delta(self, layout: Layout) -> float | None:
        four = 4 * self._levels**2
        return four / (four + layout.dim - 1) * (1 - 2.0**-21)  # less the rounding of M


@dataclass(frozen=True)
class _Nearest(LevelsCode):
    def scale(self, v: Vector) -> float:
        return float(np.abs(v).max())

    def round(self, exact: Vector, rng: np.random.Generator) -> Vector:
        return np.rint(exact)
