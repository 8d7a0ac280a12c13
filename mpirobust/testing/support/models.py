"""Cubic models with a known spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.cubic.base import CubicModel
from mpirobust.types import Vector


class Matrix:
    """A symmetric matrix that counts its products; a product is a new array, and the vector is left alone."""

    def __init__(self, H: NDArray[np.float64]) -> None:
        self.H = H
        self.products = 0

    def __call__(self, v: Vector) -> Vector:
        self.products += 1
        product: Vector = self.H @ v
        return product


def basis(d: int, seed: int) -> NDArray[np.float64]:
    """A random orthogonal matrix; the identity for seed 0."""
    if seed == 0:
        return np.eye(d)
    Q: NDArray[np.float64] = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    return Q


def with_spectrum(
    eigenvalues: Sequence[float], parts: Sequence[float], *, M: float = 1.0, gamma: float = 1.0, seed: int = 1
) -> CubicModel:
    """`H` with these eigenvalues, and `g` with these parts along its eigenvectors."""
    V = basis(len(eigenvalues), seed)
    H = (V * np.asarray(eigenvalues, np.float64)) @ V.T
    bound = float(np.abs(eigenvalues).max())
    return CubicModel(V @ np.asarray(parts, np.float64), Matrix((H + H.T) / 2), M, gamma, lambda: bound)


def matrix_of(model: CubicModel) -> Any:
    """`H` of a model that was made here."""
    assert isinstance(model.hessian, Matrix)
    return model.hessian.H
