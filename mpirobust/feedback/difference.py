from __future__ import annotations

import numpy as np

from mpirobust.answers import Answers, ArrayAnswers, Inbox
from mpirobust.components import component
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Memory, Outgoing, WorkerMemory, absorbed
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message, Vector


@component
class Difference(Feedback):
    """Compressed differences (EF21; Richtárik et al. 2021): h_i ← h_i + Q(g_i - h_i) at both ends, h_i being the state.

    The rule judges the states. An unsound message leaves a state unchanged and is not judged. Both ends absorb the
    message as it was sent, tampered with or not: otherwise their states would differ.
    """

    def memories(self) -> tuple[Memory, ...]:
        return (Memory("state", at_worker=True, at_center=True),)

    def encode(self, memory: WorkerMemory, outgoing: Outgoing) -> tuple[bytes, WorkerMemory]:
        return outgoing.code.encode(outgoing.answer - memory["state"], outgoing.rng), memory

    def absorb(self, memory: WorkerMemory, message: Message, outgoing: Outgoing) -> WorkerMemory:
        return {"state": absorbed(outgoing.code, message, memory["state"], outgoing.q)}

    def receive(self, memory: CenterMemory, inbox: Inbox, scale: float, coin: Coin) -> Answers:
        for worker in np.flatnonzero(inbox.sound).tolist():
            inbox.add_to(memory["state"][worker], worker)
        return ArrayAnswers(memory["state"], inbox.sound, inbox.q, scale, inbox.weights)

    def aim(self, memory: CenterMemory, worker: int, v: Vector, coin: Coin) -> Vector:
        aimed: Vector = v - memory["state"][worker]
        return aimed

    def measure(self, memory: CenterMemory, worker: int, inbox: Inbox, coin: Coin) -> float:
        if not inbox.sound[0]:
            return float(np.inf)
        return q_norm(memory["state"][worker] + inbox.combine(np.ones(1)), inbox.q)
