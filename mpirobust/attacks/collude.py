from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import component


@component
class Collude(Tunable):
    """All send minus the honest mean direction, at `fraction` of the median honest norm.

    Below the median no trimming by norm drops them, and together they pull against the
    mean with all their weight. The arbitrary adversary of P1 §6 at its
    simplest. Norms are as the center measures them. The strength is `fraction`.

    Attributes:
        fraction: norm of the forged messages, in units of the median honest norm.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    fraction: float = 0.9
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        known = spy.known(self.knowledge)
        mean, _ = known.moments
        norm = abs(self.fraction) * known.middle_norm
        return spy.of_norm(norm, worker, -np.sign(self.fraction) * mean, rng)

    def strength_in(self, spy: Spy) -> float:
        return self.fraction

    def with_strength(self, strength: float) -> Collude:
        return replace(self, fraction=strength)
