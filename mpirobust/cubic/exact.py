from __future__ import annotations

import numpy as np

from mpirobust.components import component
from mpirobust.cubic._secular import minimiser, oriented
from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.types import Vector


@component
class Exact(CubicSolver):
    """The global minimiser: eigendecomposition and secular equation (Nesterov, Polyak 2006, §5), hard case included.

    The only solver that builds H: d products, O(d²) memory and O(d³) time.
    """

    def exact(self) -> bool:
        return True

    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        d = model.g.size
        H = np.empty((d, d))
        unit = np.zeros(d)
        for at in range(d):
            unit[at] = 1
            H[at] = model.hessian(unit)
            unit[at] = 0
        p, u = minimiser((H + H.T) / 2, model.g, model)
        return p + oriented(u)
