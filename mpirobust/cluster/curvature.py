"""The extreme eigenvalues of the honest Hessian, from products with it."""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from mpirobust.types import CENTER, Purpose, Vector, stream

_MOST_PRODUCTS = 100
_TOLERANCE = 1e-4
_RITZ_TOLERANCE = 1e-6


def power_iteration(product: Callable[[Vector], Vector], dim: int, seed: int) -> float:
    """`max |λ(H)|` from products with the symmetric matrix H: from below, usually within a few percent."""
    v: Vector = stream(seed, CENTER, 0, Purpose.CURVATURE).standard_normal(dim)
    estimate = 0.0
    for _ in range(_MOST_PRODUCTS):
        v /= np.sqrt(v @ v)
        v = product(v)
        previous, estimate = estimate, float(np.sqrt(v @ v))
        if estimate == 0.0 or abs(estimate - previous) <= _TOLERANCE * estimate:
            break
    return estimate


def smallest_eigenvalue(product: Callable[[Vector], Vector], dim: int, seed: int) -> float:
    """`λ_min(H)` from products with the symmetric matrix H, by Lanczos with full reorthogonalisation.

    It ends when the residual of the Ritz pair is at most 1e-6 of the largest Ritz value: so near is an eigenvalue,
    the smallest unless the start has nothing of its vector. Or after 100 products (after `dim` it is exact), as
    many vectors of memory; then what it says is from above. NaN where a product is not finite.
    """
    from scipy.linalg import eigh_tridiagonal  # slow to import, and seldom needed

    v: Vector = stream(seed, CENTER, 0, Purpose.CURVATURE).standard_normal(dim)
    basis = [v / np.sqrt(v @ v)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        w = product(basis[-1]).astype(np.float64)
        if not np.isfinite(w).all():
            return nan
        diagonal.append(float(basis[-1] @ w))
        for _ in range(2):  # twice is enough (Parlett 1998, §6.9)
            for q in basis:
                w = w - (q @ w) * q
        reach = float(np.sqrt(w @ w))
        values, vectors = eigh_tridiagonal(diagonal, beside)
        largest = max(abs(values[0]), abs(values[-1]))
        if len(basis) == _MOST_PRODUCTS or reach * abs(vectors[-1, 0]) <= _RITZ_TOLERANCE * largest:
            return float(values[0])
        beside.append(reach)
        basis.append(w / reach)
