"""Norms of vectors."""

from __future__ import annotations

import numpy as np

from mpirobust.types import Vector


def q_norm(v: Vector, q: float) -> float:
    """Return `||v||_q`, q >= 1 or inf; not finite if an entry is not, or if it overflows.

    For q other than 1, 2 and inf the largest entry is taken out first: the q-th powers neither overflow nor vanish.
    For q = 2 the squares may, because this is the norm of every round: it is inf if an entry exceeds about 1e154, and
    entries below about 1e-154 lose digits, or below 1e-162 count as 0.
    """
    if q == 2.0:
        return float(np.sqrt(v @ v))
    if q == 1.0:
        return float(np.abs(v).sum())
    largest = float(np.abs(v).max(initial=0.0))
    if q == np.inf or not 0 < largest < np.inf:
        return largest
    return largest * float(((np.abs(v) / largest) ** q).sum() ** (1 / q))
