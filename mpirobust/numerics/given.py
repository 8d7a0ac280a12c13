"""Arrays that a program gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpirobust.errors import PlanFault


def real(given: ArrayLike, argument: str) -> NDArray[np.float64]:
    """Return a copy as float64, in C order; raise `PlanFault` with the argument if it is no array of real numbers."""
    try:
        array = np.asarray(given)
        if np.iscomplexobj(array):
            raise TypeError("there are complex ones")
        return np.array(array, dtype=np.float64, order="C")
    except (RuntimeError, TypeError, ValueError) as error:  # RuntimeError: of a tensor of PyTorch with a gradient
        raise PlanFault(argument, f"expected real numbers: {error}") from error
