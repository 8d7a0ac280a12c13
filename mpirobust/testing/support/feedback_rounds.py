"""Rounds of a feedback outside of a run: its worker halves, the wire, its center half."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mpirobust.answers import NORM_PREFIX, Answers, Inbox
from mpirobust.compressors.base import Code, Codes, Compressor
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Outgoing, WorkerMemory
from mpirobust.numerics.norms import q_norm
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.support.codes import drawn
from mpirobust.types import Message, Norm, Vector

SEED = 2

Tamper = Callable[[bytes, np.random.Generator], bytes]


class Ends:
    """All workers and the center, from zero memories on.

    Attributes:
        workers: the memory of each worker's half.
        center: that of the center's half.
    """

    def __init__(
        self, feedback: Feedback, compressor: Compressor, m: int = 4, dim: int = 9, norm: Norm | None = None
    ) -> None:
        self.feedback, self.dim, self.norm = feedback, dim, norm or Norm()
        self._compressors = feedback.compressors(compressor)
        kept = feedback.memories()
        self.workers: list[WorkerMemory] = [{x.name: sealed(np.zeros(dim)) for x in kept if x.at_worker}] * m
        self.center: CenterMemory = {x.name: np.zeros((m, dim)) for x in kept if x.at_center}

    def coin(self, t: int) -> Coin:
        return lambda: stream(SEED, CENTER, t, Purpose.COIN)

    def code(self, t: int, worker: int) -> Code:
        compressor = self._compressors[self.feedback.choose(self.coin(t))]
        return drawn(compressor, self.dim, stream(SEED, worker, t, Purpose.SHARED))

    def outgoing(self, t: int, worker: int, answer: Vector, scale: float = 0.5) -> Outgoing:
        """Of a worker whose answer changes as its point does."""
        return Outgoing(
            answer=sealed(answer.copy()),
            point=sealed(answer / 2),
            scale=scale,
            code=self.code(t, worker),
            rng=stream(SEED, worker, t, Purpose.ENCODE),
            q=self.norm.q,
            again=lambda point: 2 * point,
            coin=self.coin(t),
        )

    def sent(
        self, t: int, answers: NDArray[np.float64], scale: float = 0.5, tampering: Mapping[int, Tamper] | None = None
    ) -> list[Message]:
        """The messages of a round, those of some workers tampered with on their way out; the workers remember."""
        messages: list[Message] = []
        for worker, answer in enumerate(answers):
            outgoing = self.outgoing(t, worker, answer, scale)
            message, memory = self.feedback.encode(self.workers[worker], outgoing)
            if self.norm.claimed:
                message = np.array(q_norm(answer, self.norm.q), NORM_PREFIX).tobytes() + message
            if worker in (tampering or {}):
                message = (tampering or {})[worker](message, stream(SEED, worker, t, Purpose.TAMPER))
            memory = self.feedback.absorb(sealed_memory(memory), message, outgoing)
            self.workers[worker] = sealed_memory(memory)
            messages.append(message)
        return messages

    def inbox(self, t: int, messages: list[Message]) -> Inbox:
        return Inbox(messages, self.dim, Codes(None, lambda worker: self.code(t, worker)), self.norm)

    def received(self, t: int, messages: list[Message], scale: float = 0.5) -> Answers:
        """Return the answers that the rule judges; the center remembers."""
        return self.feedback.receive(self.center, self.inbox(t, messages), scale, self.coin(t))

    def copied_center(self) -> CenterMemory:
        return {name: rows.copy() for name, rows in self.center.items()}


def sealed(vector: Vector) -> Vector:
    """The vector itself, not to be written to from now on."""
    vector.flags.writeable = False
    return vector


def sealed_memory(memory: WorkerMemory) -> WorkerMemory:
    return {name: sealed(vector) for name, vector in memory.items()}
