from __future__ import annotations

from typing import Literal

import numpy as np

from mpirobust.answers import Answers, Inbox
from mpirobust.components import component
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Memory, Outgoing, WorkerMemory, absorbed


@component
class Residual(Feedback):
    """Error feedback (P1 Alg. 2; Seide et al. 2014; Karimireddy et al. 2019): e_i ← p_i - Q(p_i), p_i = γ g_i + e_i.

    The worker applies the step size before it compresses (P1 Alg. 2 l. 5), so the center does not. The residual is
    that of the message that the worker should send: a worker that tampers with it keeps the residual of an honest one.
    """

    def memories(self) -> tuple[Memory, ...]:
        return (Memory("residual", at_worker=True, at_center=False),)

    def encode(self, memory: WorkerMemory, outgoing: Outgoing) -> tuple[bytes, WorkerMemory]:
        p = outgoing.scale * outgoing.answer + memory["residual"]  # P1 Alg. 2 l. 5
        message = outgoing.code.encode(p, outgoing.rng)
        kept = absorbed(outgoing.code, message, np.zeros(p.size), outgoing.q)
        return message, {"residual": p - kept}

    def receive(self, memory: CenterMemory, inbox: Inbox, scale: float, coin: Coin) -> Answers:
        return inbox

    def applies_step(self) -> bool:
        return True

    def p1_algorithm(self) -> Literal[1, 2] | None:
        return 2
