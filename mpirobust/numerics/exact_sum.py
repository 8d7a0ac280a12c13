"""A sum of vectors that does not depend on the order of its terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.types import Vector

LIMBS = 4
_BITS = 44  # of each limb; the other 19 of an int64 leave room for 2^19 terms
_TOP = 2.0**76  # magnitude that a term must stay below
_UNITS = _TOP * 2.0 ** (-_BITS * np.arange(1.0, LIMBS + 1))  # the last is 2^-100


class ExactSum:
    """Adds up vectors in fixed point: equal to the last bit whatever the order and grouping of the terms.

    A coordinate keeps what lies between 2^-100 and 2^76, more than a double
    does; integer sums are associative, so ranks may be combined by any
    reduction. A term that is out of range or not finite makes the total infinite.

    Attributes:
        parts: int64, all there is to the sum; add those of two sums to combine them.
    """

    def __init__(self, dim: int) -> None:
        self.parts: NDArray[np.int64] = np.zeros(LIMBS * dim + 1, dtype=np.int64)
        self._limbs = self.parts[:-1].reshape(LIMBS, dim)
        self._misfits = self.parts[-1:]  # how many terms were out of range

    def add(self, v: Vector) -> None:
        """Add one term, shape (d,)."""
        if not kernels.add_exact(v, _UNITS, _TOP, self._limbs):
            self._misfits += 1

    def total(self) -> Vector:
        """Return the sum, shape (d,), float64."""
        if self._misfits.any():
            return np.full(self._limbs.shape[1], np.inf)
        out = np.zeros(self._limbs.shape[1])
        for limb, unit in zip(self._limbs[::-1], _UNITS[::-1], strict=True):
            out += limb * unit
        return out
