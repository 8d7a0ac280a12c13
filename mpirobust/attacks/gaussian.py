from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import UpdateAttack
from mpirobust.components import Field, component
from mpirobust.types import Vector


@component
class Gaussian(UpdateAttack):
    """Adds N(0, variance · I) to the answer (P1 §8, P2 §4 (1)).

    Attributes:
        variance: variance of the noise on each coordinate.
    """

    variance: Annotated[float, Field(ge=0)] = 10.0

    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        noise: Vector = np.sqrt(self.variance) * rng.standard_normal(answer.size)
        return answer + noise
