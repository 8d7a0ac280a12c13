"""A feedback whose two ends keep different things."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust import Field, component
from mpirobust.answers import Answers, ArrayAnswers, Inbox
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Memory, Outgoing, WorkerMemory
from mpirobust.types import Vector


@component
class Averaged(Feedback):
    """Workers send momentum, and the center judges a moving average of what each has sent."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5

    def memories(self) -> tuple[Memory, ...]:
        return (
            Memory("momentum", at_worker=True, at_center=False),
            Memory("average", at_worker=False, at_center=True),
        )

    def encode(self, memory: WorkerMemory, outgoing: Outgoing) -> tuple[bytes, WorkerMemory]:
        kept = self.momentum * memory["momentum"] + (1 - self.momentum) * outgoing.answer
        return outgoing.code.encode(kept, outgoing.rng), {"momentum": kept}

    def receive(self, memory: CenterMemory, inbox: Inbox, scale: float, coin: Coin) -> Answers:
        for worker in np.flatnonzero(inbox.sound).tolist():
            row = memory["average"][worker]
            row *= self.momentum
            received = np.zeros(inbox.dim)
            inbox.add_to(received, worker)
            row += (1 - self.momentum) * received
        return ArrayAnswers(memory["average"], inbox.sound, inbox.q, scale, inbox.weights)

    def aim(self, memory: CenterMemory, worker: int, v: Vector, coin: Coin) -> Vector:
        aimed: Vector = (v - self.momentum * memory["average"][worker]) / (1 - self.momentum)
        return aimed

    def measure(self, memory: CenterMemory, worker: int, inbox: Inbox, coin: Coin) -> float:
        row = {"average": memory["average"][worker : worker + 1].copy()}
        return float(self.receive(row, inbox, 1.0, coin).norms[0])
