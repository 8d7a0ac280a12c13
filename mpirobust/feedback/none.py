from __future__ import annotations

from typing import Literal

from mpirobust.answers import Answers, Inbox
from mpirobust.components import component
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Outgoing, WorkerMemory


@component
class NoFeedback(Feedback):
    """The code of the answer is sent, and what it leaves out is lost (P1 Alg. 1, P2 Alg. 1)."""

    def encode(self, memory: WorkerMemory, outgoing: Outgoing) -> tuple[bytes, WorkerMemory]:
        return outgoing.code.encode(outgoing.answer, outgoing.rng), memory

    def receive(self, memory: CenterMemory, inbox: Inbox, scale: float, coin: Coin) -> Answers:
        return inbox.scaled(scale)

    def sends_answers(self) -> bool:
        return True

    def p1_algorithm(self) -> Literal[1, 2] | None:
        return 1
