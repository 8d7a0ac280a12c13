from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from mpirobust.components import Count, component
from mpirobust.compressors._factors import Factors, factors_nbytes
from mpirobust.compressors.base import Code, Compressor
from mpirobust.errors import PlanFault
from mpirobust.types import Layout, Vector


@component
class PCA(Compressor):
    """The best approximation of rank k of x as a matrix of ⌊√d⌋ rows (k-PCA, P1 §3 ex. 2; Wang et al. 2018).

    The rows' coordinates in the leading right singular vectors cross, and these vectors, in float32. The largest
    k of ⌊√d⌋ squared singular values hold at least their share of ||x||²: δ = k/⌊√d⌋, reached if all are
    equal. They come from the Gram matrix of the rows, so the cost grows as d^1.5.

    Attributes:
        k: singular vectors that are sent, of ⌊√d⌋.
    """

    k: Count

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Leading(layout.dim, self.k)

    def admit(self, layout: Layout) -> None:
        if self.k > isqrt(layout.dim):
            raise PlanFault("k", f"{self.k} is more than √{layout.dim}; choose 1 to {isqrt(layout.dim)}")

    def max_nbytes(self, layout: Layout) -> int:
        return factors_nbytes(layout.dim, self.k)

    def delta(self, layout: Layout) -> float | None:
        rounding: float = 2.0**-22 * (1 + self.k**0.5)
        return self.k / isqrt(layout.dim) - rounding


@dataclass(frozen=True)
class _Leading(Factors):
    def factors(self, unit: NDArray[np.float64], rng: np.random.Generator) -> tuple[Vector, Vector]:
        rows = len(unit)
        _, left = eigh(unit @ unit.T, subset_by_index=[rows - self.k, rows - 1])
        right, _ = np.linalg.qr(unit.T @ left)
        return unit @ right, right
