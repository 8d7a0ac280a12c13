from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import Field, component


@component
class Collude(MessageAttack):
    """All send minus the honest mean direction, at `fraction` of the median honest norm.

    Below the median no trimming by norm drops them, and together they pull against the
    mean with all their weight. The arbitrary adversary of P1 §6 at its
    simplest. Norms are as the center measures them.

    Attributes:
        fraction: norm of the forged messages, in units of the median honest norm.
    """

    fraction: Annotated[float, Field(gt=0)] = 0.9

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, _ = spy.moments
        norm = self.fraction * float(np.median(spy.answers.norms[spy.sound])) if spy.sound.size else 0.0
        return spy.of_norm(norm, worker, -mean, rng)
