"""A center without workers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from mpirobust.cluster.reception import Reception
from mpirobust.compressors.base import AnyCompressor
from mpirobust.types import Feedback, Norm
from mpirobust.worker import Orders
from tests.teams import Team, regression_plan


def reception(compressor: AnyCompressor, dim: int, m: int, feedback: Feedback, norm: Norm) -> Reception:
    """What receives the messages of `m` workers, of whom the plan says that all are honest."""
    weights = np.ones(m)
    changed = replace(_orders(), seed=1, compressor=compressor, norm=norm, dim=dim, feedback=feedback, weights=weights)
    return Reception(changed, m)


@cache
def _orders() -> Orders:
    return Team(regression_plan()).orders
