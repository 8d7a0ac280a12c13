from __future__ import annotations

import numpy as np

from mpirobust.components import Count, component
from mpirobust.cubic._secular import minimiser, oriented
from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Vector

_NOTHING = 1e-13  # of the longest product: what is shorter after orthogonalisation is rounding


@component
class Lanczos(CubicSolver):
    """The minimiser over a Krylov space of `products` dimensions (Cartis, Gould, Toint 2011, §6.2).

    The space grows from g; if g is zero or the space is closed under H before the products
    are used up, it goes on from a random direction, so that an exact saddle is left as well.

    Attributes:
        products: Hessian products of a solve: dimensions of the Krylov space.
    """

    products: Count = 10

    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        d = model.g.size
        k = min(self.products, d)
        Q = np.zeros((k, d))  # orthonormal rows
        T = np.zeros((k, k))
        length = q_norm(model.g, 2)
        w = model.g
        beta, longest = length, 0.0
        for j in range(k):
            if beta <= _NOTHING * longest:
                beta, w = 0.0, _orthogonal(rng.standard_normal(d), Q[:j])
            Q[j] = w / np.sqrt(w @ w)
            if j:
                T[j, j - 1] = T[j - 1, j] = beta
            product = model.hessian(Q[j])
            longest = max(longest, float(np.sqrt(product @ product)))
            T[j, j] = Q[j] @ product
            w = _orthogonal(product, Q[: j + 1])
            beta = float(np.sqrt(w @ w))
        p, u = minimiser(T, length * np.eye(1, k)[0], model)
        return p @ Q + oriented(u @ Q)


def _orthogonal(w: Vector, Q: Vector) -> Vector:
    """Return `w` without its parts along the rows of `Q`; twice is enough (Parlett 1998, §6.9)."""
    for _ in range(2):
        w = w - (Q @ w) @ Q
    return w
