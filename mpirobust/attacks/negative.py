from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import UpdateAttack
from mpirobust.components import Field, component
from mpirobust.types import Vector


@component
class Negative(UpdateAttack):
    """Sends `-factor` times the answer (P1 §8: -ε g, ε = 0.9; P2 §4 (4)).

    Attributes:
        factor: ε: minus this times the answer is sent.
    """

    factor: Annotated[float, Field(gt=0)] = 0.9

    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        return -self.factor * answer
