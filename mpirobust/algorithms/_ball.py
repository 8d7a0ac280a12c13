"""Perturbations."""

from __future__ import annotations

import numpy as np

from mpirobust.types import Vector


def uniform_in_ball(dim: int, radius: float, rng: np.random.Generator) -> Vector:
    """Return a point of the ball of `radius` around the origin, shape (dim,), every one as likely as any other."""
    direction = rng.standard_normal(dim)
    point: Vector = direction * (radius * rng.random() ** (1 / dim) / np.sqrt(direction @ direction))
    return point
