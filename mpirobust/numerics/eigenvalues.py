"""Extreme eigenvalues: of the honest Hessian from products with it, and of the Gram matrix of a shard."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np

from mpirobust.numerics.blas import loaded
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Vector

_MOST_PRODUCTS = 100
_TOLERANCE = 1e-4
_RITZ_TOLERANCE = 1e-6
_MOST_DENSE = 512  # Gram matrices up to here are decomposed whole
_GRAM_TOLERANCE = 1e-6  # relative, of the eigenvalue that is iterated for


def power_iteration(product: Callable[[Vector], Vector], dim: int, seed: int) -> float:
    """Return `max |λ(H)|` from products with the symmetric matrix H: from below, usually within a few percent."""
    return leading(product, dim, seed)[0]


def leading(
    product: Callable[[Vector], Vector], dim: int, seed: int, tolerance: float = _TOLERANCE, most: int = _MOST_PRODUCTS
) -> tuple[float, Vector]:
    """Return the same with the vector of length 1 where the iteration ended.

    Args:
        tolerance: of the relative change in one product, at which it ends.
        most: products.
    """
    v: Vector = stream(seed, CENTER, 0, Purpose.CURVATURE).standard_normal(dim)
    estimate = 0.0
    for _ in range(most):
        v /= np.sqrt(v @ v)
        v = product(v)
        previous, estimate = estimate, float(np.sqrt(v @ v))
        if estimate == 0.0 or abs(estimate - previous) <= tolerance * estimate:
            break
    return estimate, v / (estimate or 1.0)


def smallest_eigenvalue(product: Callable[[Vector], Vector], dim: int, seed: int) -> float:
    """Return `λ_min(H)` from products with the symmetric matrix H, by Lanczos with full reorthogonalisation.

    It ends when the residual of the Ritz pair is at most 1e-6 of the largest Ritz value: so near is an eigenvalue,
    the smallest unless the start has nothing of its vector. Or after 100 products (after `dim` it is exact), as
    many vectors of memory; then the result is an upper bound. NaN if a product is not finite.
    """
    linalg = loaded("scipy.linalg")
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
        values, vectors = linalg.eigh_tridiagonal(diagonal, beside)
        largest = max(abs(values[0]), abs(values[-1]))
        if len(basis) == _MOST_PRODUCTS or reach * abs(vectors[-1, 0]) <= _RITZ_TOLERANCE * largest:
            return float(values[0])
        beside.append(reach)
        basis.append(w / reach)


def gram_norm(X: Any, XT: Any) -> float:
    """Return `||XᵀX / n||`, the largest eigenvalue, from above by a millionth.

    Args:
        X: shape (n, d), dense or CSR.
        XT: its transpose, shape (d, n).
    """
    n, d = X.shape
    if min(n, d) <= _MOST_DENSE:
        gram = XT @ X if d <= n else X @ XT
        largest = float(np.linalg.eigvalsh(gram.toarray() if hasattr(gram, "toarray") else gram)[-1])
    else:
        linalg = loaded("scipy.sparse.linalg")
        product = linalg.LinearOperator((d, d), matvec=lambda v: XT @ (X @ v), dtype=np.float64)
        v0 = stream(0, 0, 0, Purpose.CURVATURE).standard_normal(d)
        if not (X @ v0).any():
            return 0.0
        (top,) = linalg.eigsh(product, 1, which="LA", v0=v0, tol=_GRAM_TOLERANCE, return_eigenvectors=False)
        largest = float(top)
    return max(0.0, largest) * (1 + _GRAM_TOLERANCE) / float(n)
