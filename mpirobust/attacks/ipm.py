from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import component


@component
class Ipm(Tunable):
    """Inner-product manipulation: all send `-epsilon` times the honest mean (Xie et al. 2020, Fall of Empires).

    Small ε hides among honest messages and slows descent; ε above (1 - α)/α turns a plain average round.
    The strength is ε.

    Attributes:
        epsilon: ε: minus this times the honest mean is sent.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    epsilon: float = 0.1
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, _ = spy.known(self.knowledge).moments
        return spy.encode(worker, -self.epsilon * mean, rng)

    def strength_in(self, spy: Spy) -> float:
        return self.epsilon

    def with_strength(self, strength: float) -> Ipm:
        return replace(self, epsilon=strength)
