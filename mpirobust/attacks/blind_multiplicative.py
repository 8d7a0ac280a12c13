from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import UpdateAttack
from mpirobust.components import Field, component
from mpirobust.types import Vector


@component
class BlindMultiplicative(UpdateAttack):
    """Multiplies each entry by a number that is drawn without seeing the answer (Bernstein et al. 2018c; P1 §1).

    Each worker draws a new vector in each round. An entry is negative with probability `flip`, and its size is
    log-uniform between 1/`scale` and `scale`: by default the signs are random and nothing else changes.

    Attributes:
        flip: probability that an entry turns its sign.
        scale: an entry is multiplied by 1/scale to scale.
    """

    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    scale: Annotated[float, Field(ge=1)] = 1.0

    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        signs = np.where(rng.random(answer.size) < self.flip, -1.0, 1.0)
        sizes = self.scale ** rng.uniform(-1, 1, answer.size)
        corrupted: Vector = signs * sizes * answer
        return corrupted
