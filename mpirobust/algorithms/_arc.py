"""Adaptive regularisation by cubics (ARC; Cartis, Gould, Toint 2011), within one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.types import Vector

_SUCCESSFUL, _VERY = 0.1, 0.9  # η1 and η2 of ARC
_FACTOR = 4.0
_ROUNDING = 1e-12  # of F: a change that is smaller says nothing


def adapted(
    solver: CubicSolver,
    model: CubicModel,
    change: Callable[[Vector], float],
    scale: float,
    tries: int,
    rng: np.random.Generator,
) -> Vector:
    """Return the step for an M near `model.M` that suits F, by at most `tries` more solves.

    The ratio of ARC is `change(γ s) = F(x + γ s) - F(x)` over the predicted `γ m(s)`. While it is at least 0.9, M
    falls by a factor of 4, and the last such step is taken; if it is below 0.1 for the M of the plan, M rises
    until it is not. `scale` is |F(x)|: if the prediction is only rounding of it, the step is taken as it is.
    """

    def tried(M: float) -> tuple[Vector, float]:
        at = replace(model, M=M)
        s = solver.solve(at, rng)
        predicted = model.gamma * at.value(s)
        if not -predicted > _ROUNDING * scale:  # also if it is not a number
            return s, _SUCCESSFUL
        return s, change(model.gamma * s) / predicted

    M = model.M
    s, ratio = tried(M)
    if ratio >= _VERY:
        for _ in range(tries):
            M /= _FACTOR
            bolder, ratio = tried(M)
            if not ratio >= _VERY:
                break
            s = bolder
        return s
    for _ in range(tries):
        if ratio >= _SUCCESSFUL:
            break
        M *= _FACTOR
        s, ratio = tried(M)
    return s
