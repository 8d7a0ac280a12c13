"""Sound tolerances for what is measured from draws."""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from mpirobust.compressors.base import Code, Compressor
from mpirobust.streams import Purpose, stream
from mpirobust.testing.support.codes import drawn
from mpirobust.types import Vector


def code_at(compressor: Compressor, dim: int, round: int = 0) -> Code:
    return drawn(compressor, dim, stream(2, 0, round, Purpose.SHARED))


def message_of(compressor: Compressor, v: Vector, round: int = 0) -> bytes:
    return code_at(compressor, v.size, round).encode(v, stream(2, 0, round, Purpose.ENCODE))


def draws(compressor: Compressor, v: Vector, rounds: int) -> NDArray[np.float64]:
    """What the center makes of the messages of many rounds, shape (rounds, d)."""
    return np.array([code_at(compressor, v.size, t).decode(message_of(compressor, v, t)) for t in range(rounds)])


def assert_unbiased(compressor: Compressor, v: Vector, rounds: int, reach: float) -> None:
    """The mean of the draws is v, within an empirical Bernstein bound (p = 1e-6 over all coordinates).

    Args:
        reach: the largest |Q(v)_i - v_i| that can be.
    """
    errors = draws(compressor, v, rounds) - v
    odds = log(4 * v.size / 1e-6)
    bound = np.sqrt(2 * errors.var(axis=0, ddof=1) * odds / rounds) + 7 * reach * odds / (3 * (rounds - 1))
    assert (np.abs(errors).max(axis=0) <= reach * (1 + 1e-6)).all()
    assert (np.abs(errors.mean(axis=0)) <= bound + 1e-6 * np.abs(v)).all()
