"""The way from an answer to a message, and from messages to a rule, on which both ends of a run or a reducer agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpirobust.answers import NORM_PREFIX, Inbox
from mpirobust.compressors.base import Code, Codes, Compressor
from mpirobust.feedback.base import CenterMemory, Coin, Feedback, Outgoing, WorkerMemory
from mpirobust.numerics.norms import q_norm
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Layout, Message, Norm, Vector


@dataclass(frozen=True)
class Wire:
    """The codes and the feedback. Pure: what changes from round to round is in the memories.

    Attributes:
        seed: of all random streams.
        layout: the parts of the vectors, of total length d.
        compressor: of the messages, unless the feedback chooses another in some rounds.
        norm: the norm by which the center sorts messages.
        feedback: decides what is sent instead of an answer.
    """

    seed: int
    layout: Layout
    compressor: Compressor
    norm: Norm
    feedback: Feedback

    @property
    def dim(self) -> int:
        """d, the length of the vectors."""
        return self.layout.dim

    def codes(self, round: int) -> Codes:
        """Return the codes of the messages of a round, as both ends draw them."""
        at = self.feedback.choose(self.coin(round))
        return Codes(self._common_codes[at], lambda worker: self.code(round, self._shared(round, worker)))

    def code(self, round: int, shared: np.random.Generator) -> Code:
        """Return the code of one message of a round.

        Args:
            shared: the stream that its worker shares with the center in this round.
        """
        at = self.feedback.choose(self.coin(round))
        common = self._common_codes[at]
        return self.compressors[at].draw(self.layout, shared) if common is None else common

    @cached_property
    def compressors(self) -> tuple[Compressor, ...]:
        """The compressors that a round may use."""
        return self.feedback.compressors(self.compressor)

    @cached_property
    def _common_codes(self) -> list[Code | None]:
        """For each compressor its only code; None if it draws one for each message."""
        layout, shared = self.layout, self._shared(0, 0)
        return [None if each.draws_for_each() else each.draw(layout, shared) for each in self.compressors]

    def _shared(self, round: int, worker: int) -> np.random.Generator:
        return stream(self.seed, worker, round, Purpose.SHARED)

    def coin(self, round: int) -> Coin:
        """Return a function that makes the stream that all workers and the center share in a round."""
        return lambda: stream(self.seed, CENTER, round, Purpose.COIN)

    def norm_prefix(self, answer: Vector) -> bytes:
        """Return the first bytes of a message: under Option I the norm of the answer (P1 Alg. 1 l. 1), else none."""
        return np.array(q_norm(answer, self.norm.q), NORM_PREFIX).tobytes() if self.norm.claimed else b""

    def message_limit(self) -> int:
        """Return the length of the longest honest message in bytes."""
        longest = max(each.max_nbytes(self.layout) for each in self.compressors)
        return longest + (NORM_PREFIX.itemsize if self.norm.claimed else 0)

    def fixed_length(self) -> bool:
        """Return whether every honest message is `message_limit` long."""
        lengths = {each.max_nbytes(self.layout) for each in self.compressors}
        return len(lengths) == 1 and all(each.fixed_length() for each in self.compressors)

    def worker_memory(self) -> WorkerMemory:
        """Return the worker's half of the feedback memories before the first round: zeros."""
        return {memory.name: np.zeros(self.dim) for memory in self.feedback.memories() if memory.at_worker}

    def center_memory(self, workers: int) -> CenterMemory:
        """Return the center's half of the feedback memories before the first round: zeros."""
        return {memory.name: np.zeros((workers, self.dim)) for memory in self.feedback.memories() if memory.at_center}

    def encoded(
        self, memory: WorkerMemory, outgoing: Outgoing, tamper: Callable[[bytes], bytes] | None = None
    ) -> tuple[bytes, WorkerMemory]:
        """Encode, tamper if the worker does, absorb what is sent: in this order for every feedback.

        Returns:
            the message, and the memory after it.
        """
        message, memory = self.feedback.encode(memory, outgoing)
        message = self.norm_prefix(outgoing.answer) + message
        if tamper is not None:
            message = tamper(message)[: self.message_limit() + 1]
        return message, self.feedback.absorb(memory, message, outgoing)

    def inbox(self, codes: Codes, messages: Sequence[Message], weights: NDArray[np.float64] | None = None) -> Inbox:
        """Return the messages of a round as a rule reads them, with scale 1."""
        return Inbox(messages, self.dim, codes, self.norm, 1.0, weights)
