from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import UpdateAttack
from mpirobust.components import Field, component
from mpirobust.types import Vector


@component
class SignFlip(UpdateAttack):
    """Sends `-factor` times the answer (Li et al. 2019, RSA).

    `negative` is the same with P1's 0.9, made to be shorter than it should be; here the
    norm is that of an honest answer unless `factor` says otherwise, and a code of signs
    and a scale has every bit flipped and nothing else.

    Attributes:
        factor: minus this times the answer is sent.
    """

    factor: Annotated[float, Field(gt=0)] = 1.0

    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        return -self.factor * answer
