from __future__ import annotations

import numpy as np

from mpirobust.attacks.base import UpdateAttack
from mpirobust.components import component
from mpirobust.types import Vector


@component
class Zero(UpdateAttack):
    """Sends the zero vector: no norm is shorter, so trimming by norm keeps it and drops an honest worker instead.

    A worker that contributes nothing; inner-product manipulation with ε = 0 (Xie et al. 2020).
    """

    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        return np.zeros_like(answer)
