"""Code of the problems with a saddle at 0."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np

from mpirobust.components import Field
from mpirobust.shard import Shard
from mpirobust.types import Vector

Away: TypeAlias = Annotated[float, Field(ge=0)]  # ||x_0||, how far from 0 a run begins; 0 is the saddle itself


def point_at(distance: float, dim: int, rng: np.random.Generator) -> Vector:
    """Return a point at this distance from 0 in a direction drawn uniformly, shape (dim,)."""
    direction = rng.standard_normal(dim)
    x: Vector = direction * (distance / np.sqrt(direction @ direction))
    return x


def mean_row(shard: Shard) -> Vector:
    """Return the mean of the rows, shape (d,): the tilt of a toy problem."""
    mean: Vector = shard.XT @ np.full(shard.rows, 1 / shard.rows)
    return mean
