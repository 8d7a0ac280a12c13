from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import Field, component
from mpirobust.types import Message, Vector


@dataclass(frozen=True)
class Drifted:
    """The offset of the forged vectors from the honest mean after the round before."""

    offset: Vector


@component
class Drift(Tunable):
    """All send the honest mean plus an offset that grows by little in each round, against the mean, and adds up.

    In a round the offset moves by -`rate` honest deviations times the sign of the honest mean, coordinate by
    coordinate, which is less than honest answers differ. Under EF21 the change of a state then looks like that of
    an honest worker, and only the state leaves the honest ones; beside a residual, the errors of honest messages
    cancel over the rounds, and this does not. `most` bounds the offset, in honest deviations of the round. The
    strength is `rate`.

    Attributes:
        rate: how far the offset moves in a round, in honest deviations.
        most: largest offset, in honest deviations of the round (default: no bound).
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    rate: float = 0.1
    most: Annotated[float, Field(gt=0)] | None = None
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return spy.encode(worker, spy.known(self.knowledge).moments[0] + spy.once(self.offset), rng)

    def offset(self, spy: Spy) -> Vector:
        """Return the offset in this round, shape (d,)."""
        mean, deviation = spy.known(self.knowledge).moments
        offset = -self.rate * deviation * np.sign(mean)
        if spy.memory is not None:
            offset = offset + spy.memory.offset
        if self.most is not None:
            offset = np.clip(offset, -self.most * deviation, self.most * deviation)
        return offset

    def memory(self) -> type | None:
        return Drifted

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        return Drifted(spy.once(self.offset))

    def strength_in(self, spy: Spy) -> float:
        return self.rate

    def with_strength(self, strength: float) -> Drift:
        return replace(self, rate=strength)
