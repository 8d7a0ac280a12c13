from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import component


@component
class Alie(Tunable):
    """A little is enough: all send honest mean - z · honest deviation, coordinate by coordinate (Baruch et al. 2019).

    By default z is the paper's, the largest at which enough honest workers are expected
    beyond the forgery to make it look like the majority: Φ(z) = (m - f - s)/(m - f) with
    s = ⌊m/2 + 1⌋ - f supporters, f of m workers being Byzantine. If so few attack that
    this is below zero, they send the mean. The strength is z.

    Attributes:
        z: honest deviations from the honest mean (default: the paper's, from m and f).
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    z: float | None = None
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, deviation = spy.known(self.knowledge).moments
        return spy.encode(worker, mean - self.strength_in(spy) * deviation, rng)

    def strength_in(self, spy: Spy) -> float:
        return self.factor(len(spy.answers), spy.byzantine.size)

    def with_strength(self, strength: float) -> Alie:
        return replace(self, z=strength)

    def factor(self, m: int, f: int) -> float:
        """Return z for `f` Byzantine of `m` workers."""
        if self.z is not None:
            return self.z
        supporters = max(1, m // 2 + 1 - f)
        return max(0.0, float(ndtri((m - f - supporters) / (m - f))))
