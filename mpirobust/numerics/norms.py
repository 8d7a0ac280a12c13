"""Norms of vectors."""

from __future__ import annotations

import numpy as np

from mpirobust.types import Vector


def q_norm(v: Vector, q: float) -> float:
    """Return `||v||_q` for q = 1, 2 or inf; not finite if an entry is not, or if it overflows."""
    if q == 2.0:
        return float(np.sqrt(v @ v))
    return float(np.abs(v).sum() if q == 1.0 else np.abs(v).max(initial=0.0))
