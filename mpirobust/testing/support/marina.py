"""A feedback that needs all of the contract: a former point, the same question there, a coin, rounds in full."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.answers import Answers, ArrayAnswers, Inbox
from mpirobust.components import Field, component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Memory, Outgoing, WorkerMemory
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Vector


@component
class Marina(Feedback):
    """Compressed differences of gradients at two points, and by a coin all gradients in full (Gorbunov et al. 2021)."""

    chance: Annotated[float, Field(ge=0, le=1)] = 0.3

    def memories(self) -> tuple[Memory, ...]:
        point = Memory("point", at_worker=True, at_center=False)
        return point, Memory("estimate", at_worker=False, at_center=True)

    def compressors(self, compressor: Compressor) -> tuple[Compressor, ...]:
        return compressor, Identity()

    def choose(self, coin: Coin) -> int:
        return int(coin().random() < self.chance)

    def encode(self, memory: WorkerMemory, outgoing: Outgoing) -> tuple[bytes, WorkerMemory]:
        v = outgoing.answer if self.choose(outgoing.coin) else outgoing.answer - outgoing.again(memory["point"])
        return outgoing.code.encode(v, outgoing.rng), {"point": outgoing.point.copy()}

    def receive(self, memory: CenterMemory, inbox: Inbox, scale: float, coin: Coin) -> Answers:
        estimates = memory["estimate"]
        for worker in np.flatnonzero(inbox.sound).tolist():
            if self.choose(coin):
                estimates[worker] = 0.0
            inbox.add_to(estimates[worker], worker)
        return ArrayAnswers(estimates, inbox.sound, inbox.q, scale, inbox.weights)

    def aim(self, memory: CenterMemory, worker: int, v: Vector, coin: Coin) -> Vector:
        aimed: Vector = v if self.choose(coin) else v - memory["estimate"][worker]
        return aimed

    def measure(self, memory: CenterMemory, worker: int, inbox: Inbox, coin: Coin) -> float:
        if not inbox.sound[0]:
            return float(np.inf)
        before = 0.0 if self.choose(coin) else memory["estimate"][worker]
        return q_norm(before + inbox.combine(np.ones(1)), inbox.q)
