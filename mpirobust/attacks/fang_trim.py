from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.attacks.base import Knowledge, MessageAttack, Spy
from mpirobust.components import Field, component
from mpirobust.types import Vector


@component
class FangTrim(MessageAttack):
    """Beyond all honest answers in each coordinate, on the side against the mean (Fang et al. 2020, §4.3).

    Aimed at trimmed mean and median. Where the honest mean is positive, each worker draws between the least honest
    entry and its multiple by `b` (its b-th part if it is positive), else between the largest and so. With
    `knowledge = "own"` extremes are not known: it draws 3 to 4 deviations from the mean, both of the workers' own
    answers, as the paper does.

    Attributes:
        b: how far beyond the extremes they draw, as a multiple of them.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    b: Annotated[float, Field(gt=1)] = 2.0
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        near, far = spy.once(self.ends)
        return spy.encode(worker, near + rng.random(near.size) * (far - near), rng)

    def ends(self, spy: Spy) -> tuple[Vector, Vector]:
        """Return both ends of the interval of each coordinate, each of shape (d,)."""
        known = spy.known(self.knowledge)
        mean, deviation = known.moments
        against = np.where(mean > 0, -1.0, 1.0)
        if self.knowledge == "own":
            return mean + 3 * against * deviation, mean + 4 * against * deviation
        near = np.zeros_like(mean)
        if known.sound.size:
            for where, block in spy.answers.blocks(known.sound):
                near[where] = np.where(mean[where] > 0, block.min(axis=0), block.max(axis=0))
        return near, near * np.where(near * against > 0, self.b, 1 / self.b)
