"""A sum of vectors that does not depend on the order of its terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpirobust.types import Vector

LIMBS = 4
_BITS = 44  # of each limb; the other 19 of an int64 leave room for 2^19 terms
_TOP = 2.0**76  # magnitude that a term must stay below
_BLOCK = 8192  # coordinates at a time: what is between stays in the cache
_UNITS = [_TOP * 2.0 ** (-_BITS * (limb + 1)) for limb in range(LIMBS)]  # the last is 2^-100


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
        largest = np.abs(v).max(initial=0.0)
        if not largest < _TOP:
            self._misfits += 1
            return
        for start in range(0, v.size, _BLOCK):
            rest = v[start : start + _BLOCK].astype(np.float64)
            for limb, unit in zip(self._limbs[:, start : start + _BLOCK], _UNITS, strict=True):
                if unit > largest:
                    continue
                units = np.trunc(rest * (1 / unit))  # exact, as is the next: powers of two
                limb += units.astype(np.int64)
                units *= unit
                rest -= units  # exact: the leading bits of rest go away

    def total(self) -> Vector:
        """Return the sum, shape (d,), float64."""
        if self._misfits.any():
            return np.full(self._limbs.shape[1], np.inf)
        out = np.zeros(self._limbs.shape[1])
        for limb, unit in zip(self._limbs[::-1], _UNITS[::-1], strict=True):
            out += limb * unit
        return out
