"""The scale of an axis that suits its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_DECADES = 1.5  # less than that is shown as it is
_FAR = 1e3  # ratio of the largest value to the typical one, from which on a linear axis shows nothing of the others
_NEAR = 1e-4  # of the largest value, below which signs and sizes are not told apart


@dataclass(frozen=True)
class Scale:
    """The scale of an axis: `linear`, `log`, or `symlog`, which is linear from -`threshold` to `threshold`."""

    name: str
    threshold: float = 1.0

    @property
    def options(self) -> dict[str, float]:
        """The arguments of Matplotlib besides the name."""
        return {"linthresh": self.threshold} if self.name == "symlog" else {}


def scale_of(values: ArrayLike, share: bool = False) -> Scale:
    """Return the scale for these values, of which those that are not finite are not shown.

    It is logarithmic if all are positive and lie some decades apart; symlog if they lie decades apart and not all are
    positive; and linear otherwise, and for a `share` from 0 to 1.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    size = np.abs(finite[finite != 0])
    if share or not size.size:
        return Scale("linear")
    least, typical, largest = size.min(), np.median(size), size.max()
    if finite.min() > 0:
        return Scale("log" if np.log10(largest) - np.log10(least) >= _DECADES else "linear")
    if largest / typical < _FAR and (finite.min() < 0 or largest / least < _FAR):
        return Scale("linear")
    near = least if finite.min() >= 0 else max(typical, _NEAR * largest)
    return Scale("symlog", float(10 ** np.floor(np.log10(near))))
