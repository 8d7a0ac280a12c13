from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import Field, component


@component
class Ipm(MessageAttack):
    """Inner-product manipulation: all send `-epsilon` times the honest mean (Xie et al. 2020, Fall of Empires).

    Small ε hides among honest messages and slows descent; ε above (1 - α)/α turns a plain average round.

    Attributes:
        epsilon: ε: minus this times the honest mean is sent.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.1

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, _ = spy.moments
        return spy.encode(worker, -self.epsilon * mean, rng)
