from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import component


@component
class Shift(Tunable):
    """Each sends its own honest answer less `c` times the honest mean, so that no two messages are alike.

    The Byzantine answers differ among each other as honest ones do, and all are moved by the same vector: there is
    nothing near-identical for a filter to find. The strength is c. A worker's own answer is read from the message that
    was due from it; if that is unsound, it counts as zero.

    Attributes:
        c: how much of the honest mean is taken off each answer.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    c: float = 2.0
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, _ = spy.known(self.knowledge).moments
        return spy.encode(worker, spy.vector(worker) - self.c * mean, rng)

    def strength_in(self, spy: Spy) -> float:
        return self.c

    def with_strength(self, strength: float) -> Shift:
        return replace(self, c=strength)
