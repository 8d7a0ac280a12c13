from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Count, component
from mpirobust.compressors._factors import Factors, factors_nbytes
from mpirobust.compressors.base import Code, Compressor
from mpirobust.errors import PlanFault
from mpirobust.types import Layout, Vector


@component
class Atomo(Compressor):
    """Random singular vectors of x as a matrix of ⌊√d⌋ rows, unbiased (ATOMO, Wang et al. 2018; P1 §3 ex. 2).

    With singular values σ_i, atom i is sent with probability `p_i = min(1, σ_i/ν)`, ν such that Σ p_i = `budget`, and
    is divided by p_i. Of all p with this sum it has the smallest `E||Q(x) - x||² = Σ σ_i² (1/p_i - 1)`; equal p_i
    show that this is at most `(⌊√d⌋/budget - 1)||x||²`, so that there is a δ if `budget` > ⌊√d⌋/2. Wang et al. toss a
    coin for each atom. We sample systematically: the p_i are the same, and so is the error, because the atoms are
    orthogonal, and there are always `budget` of them. All singular vectors are needed: the cost grows as d^1.5.

    Attributes:
        budget: singular vectors that are sent, of ⌊√d⌋.
    """

    budget: Count

    def draw(self, layout: Layout, stream: np.random.Generator) -> Code:
        return _Atoms(layout.dim, self.budget)

    def admit(self, layout: Layout) -> None:
        if self.budget > isqrt(layout.dim):
            raise PlanFault("budget", f"{self.budget} is more than √{layout.dim}; choose 1 to {isqrt(layout.dim)}")

    def max_nbytes(self, layout: Layout) -> int:
        return factors_nbytes(layout.dim, self.budget)

    def delta(self, layout: Layout) -> float | None:
        delta = 2 - isqrt(layout.dim) / self.budget - 2.0**-20  # less the rounding of the factors
        return delta if delta > 0 else None


@dataclass(frozen=True)
class _Atoms(Factors):
    def factors(self, unit: NDArray[np.float64], rng: np.random.Generator) -> tuple[Vector, Vector]:
        _, left = np.linalg.eigh(unit @ unit.T)
        left = left[:, ::-1]
        right = unit.T @ left  # σ_i times the right singular vectors; their sum with `left` is `unit` to rounding
        p = probabilities(np.sqrt((right * right).sum(axis=0)), self.k)
        chosen = sampled(p, self.k, rng)
        return left[:, chosen], right[:, chosen] / p[chosen]


def probabilities(sizes: NDArray[np.float64], budget: int) -> NDArray[np.float64]:
    """Return `min(1, sizes/ν)` with the sum `budget` (Wang et al. 2018, Alg. 1); `sizes` need not be in order.

    If fewer than `budget` sizes are not zero, the others share what is left.
    """
    order = np.argsort(-sizes, kind="stable")
    rest = np.cumsum(sizes[order][::-1])[::-1]  # from each on
    left = budget - np.arange(sizes.size)  # for them, if all larger ones are certain
    certain = int(np.argmax(left * sizes[order] <= rest)) if budget < sizes.size else sizes.size
    p = np.ones(sizes.size)
    if certain < sizes.size:
        share = sizes[order[certain:]] / rest[certain] if rest[certain] > 0 else 1 / (sizes.size - certain)
        p[order[certain:]] = left[certain] * share
    return p


def sampled(p: NDArray[np.float64], budget: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return `budget` numbers, ascending, i with probability `p[i]` (systematic sampling; Madow 1949)."""
    ends = np.cumsum(p)
    return np.searchsorted(ends, rng.random() + np.arange(budget), side="right").clip(max=np.flatnonzero(p)[-1])
