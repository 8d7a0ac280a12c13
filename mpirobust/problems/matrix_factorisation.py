from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import Count, component
from mpirobust.problems._saddles import Away, point_at
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@component
class MatrixFactorisation(Loss):
    """`1/4 ||U Uᵀ - S||_F² - 1/4 ||S||_F²`, U of shape (d, columns), S = XᵀX/n of a shard's n rows (Li et al. 2019).

    So written, `1/4 ||UᵀU||_F² - 1/(2n) ||XU||_F²`, it is a mean over the rows, and the objective of a run is the
    same with the mean S of the workers. It takes any data. With the eigenvalues λ_1 >= ... >= λ_d of that S, a
    critical point has `U Uᵀ = Σ_K λ_k v_k v_kᵀ` with |K| <= columns, and the value -1/4 Σ_K λ_k². All are strict
    saddles (0 among them, of value 0) but those of the largest eigenvalues, so every local minimum is global; the
    floor is -1/4 (λ_1² + ... + λ_columns²).

    Attributes:
        columns: columns of U: the rank of the factorisation.
        start_norm: norm of the starting point; 0 is the saddle itself.
    """

    columns: Count = 1
    start_norm: Away = 0.01

    def dim(self, features: int) -> int:
        return features * self.columns

    def start(self, features: int, rng: np.random.Generator) -> Vector:
        return point_at(self.start_norm, self.dim(features), rng)

    def value(self, x: Vector, shard: Shard) -> float:
        U = self._matrix(x)
        gram, XU = U.T @ U, shard.X @ U
        return float((gram * gram).sum() / 4 - (XU * XU).sum() / (2 * shard.rows))

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        U = self._matrix(x)
        g: Vector = (U @ (U.T @ U) - shard.XT @ (shard.X @ U) / shard.rows).ravel()
        return g

    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        U = self._matrix(x)
        gram = U.T @ U

        def product(v: Vector) -> Vector:
            V = self._matrix(v)
            UV = U.T @ V
            out: Vector = (V @ gram + U @ (UV + UV.T) - shard.XT @ (shard.X @ V) / shard.rows).ravel()
            return out

        return product

    def _matrix(self, x: Vector) -> NDArray[np.floating[Any]]:
        return x.reshape(-1, self.columns)
