from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpirobust.attacks.base import Knowledge, MessageAttack, Spy
from mpirobust.components import component
from mpirobust.types import Message, Vector


@dataclass(frozen=True)
class Former:
    """The mean of the honest answers in the round before."""

    mean: Vector


@component
class Stale(MessageAttack):
    """All send what an honest worker would have sent one round too late: the honest mean of the round before.

    Each message by itself is a plausible gradient, of a point that the center has left. In the first
    round it is the mean of that round. With `factor` -1 the late step is taken back.

    Attributes:
        factor: factor of the honest mean of the round before.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    factor: float = 1.0
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean = spy.known(self.knowledge).moments[0] if spy.memory is None else spy.memory.mean
        return spy.encode(worker, self.factor * mean, rng)

    def memory(self) -> type | None:
        return Former

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        return Former(spy.known(self.knowledge).moments[0])
