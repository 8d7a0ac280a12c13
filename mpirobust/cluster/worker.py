"""One logical worker: it answers, encodes, and keeps the memory of the feedback."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Algorithm, Query
from mpirobust.answers import NORM_PREFIX
from mpirobust.attacks.base import Attack, DataAttack, MessageAttack, UpdateAttack, WireAttack
from mpirobust.cluster.downlink import WHOLE, Downlink
from mpirobust.compressors.base import Code, Codes, Compressor
from mpirobust.feedback.base import Coin, Feedback, Half, Outgoing, WorkerMemory, halves
from mpirobust.numerics.norms import q_norm
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, Streams, stream
from mpirobust.types import Layout, Norm, OnFailure, Rows, Vector


@dataclass(frozen=True)
class WorkerConfig:
    """The configuration of all workers of a run, and of the center.

    Attributes:
        seed: the seed of the run.
        loss: the problem; each worker evaluates it on its own shard.
        algorithm: the method whose queries the workers answer.
        compressor: of the messages, unless the feedback chooses another in some rounds.
        norm: the norm by which the center sorts messages.
        feedback: decides what is sent instead of an answer.
        lengths_vary: whether messages may differ in length, so that the lengths have to be sent as well.
        layout: the parts of the vectors, of total length d.
        attack: the attack of the Byzantine workers; None if all are honest.
        byzantine: the numbers of the Byzantine workers, ascending.
        weights: how often each worker counts in the step and in the audit, shape (m,), float64: the objective is
            `Σ w_i F_i / Σ w_i`.
        on_failure: what happens to the workers of a rank that fails.
        max_faulty: the largest number of Byzantine or absent workers that the aggregation rule is set for.
        downlink: either end of the way down, before the first query of this session.
        survives: whether the run continues if a rank fails: a round may then be repeated or discarded.
    """

    seed: int
    loss: Loss
    algorithm: Algorithm[Any]
    compressor: Compressor
    norm: Norm
    feedback: Feedback
    lengths_vary: bool
    layout: Layout
    attack: Attack | None
    byzantine: Rows
    weights: NDArray[np.float64]
    on_failure: OnFailure
    max_faulty: int
    downlink: Downlink = WHOLE
    survives: bool = False

    @property
    def dim(self) -> int:
        """d, the length of the vectors."""
        return self.layout.dim

    @property
    def saved(self) -> tuple[Half, ...]:
        """The memories of the feedback that a checkpoint contains."""
        return halves(self.feedback.memories(), forged=isinstance(self.attack, MessageAttack))

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

    def weight(self) -> float:
        """Return Σ w_i."""
        return float(self.weights.sum())

    def message_limit(self) -> int:
        """Return the length of the longest honest message in bytes."""
        longest = max(each.max_nbytes(self.layout) for each in self.compressors)
        return longest + (NORM_PREFIX.itemsize if self.norm.claimed else 0)

    @cached_property
    def round_limit(self) -> int:
        """The bytes of a round's messages at most: a tampered one may be a byte longer than the longest honest one."""
        return self.weights.size * (self.message_limit() + 1)


class Worker:
    """Worker `index`, on whatever rank it is hosted.

    Attributes:
        clean: the shard as it was dealt, which the audit uses.
        test: this worker's part of the test rows.
        memory: the worker's half of the feedback memories, each of shape (d,), float64; zero before the first round.
    """

    def __init__(self, index: int, config: WorkerConfig, clean: Shard, test: Shard | None) -> None:
        self.index = index
        self.clean = clean
        self.test = test
        names = [memory.name for memory in config.feedback.memories() if memory.at_worker]
        self.memory: WorkerMemory = {name: np.zeros(config.dim) for name in names}
        self._config = config
        self._streams: dict[Purpose, Streams] = {}
        self._last: tuple[int, bytes, WorkerMemory] | None = None  # a round, its message, the memory before it
        self._attack = config.attack if index in config.byzantine else None
        self._shard = clean
        if isinstance(self._attack, DataAttack):
            self._shard = self._attack.poison(clean, self._stream(0, Purpose.POISON))

    @property
    def answers_audits(self) -> bool:
        """True if a query at the point of an audit asks for the gradient that the audit has computed."""
        config = self._config
        return (
            self._shard is self.clean
            and config.algorithm.asks_gradients(self.clean.rows)
            and config.downlink.compressor is None  # a coded way down asks at another point
        )

    def reply(self, round: int, query: Query, gradient: Vector | None = None) -> tuple[bytes, float, float]:
        """Return the message for `query`, and the seconds that the answer and the encoding took.

        A request is repeated if a rank or a worker fails in the round. The second time, the worker returns the message
        that it has: to encode it again would change the memory again.

        Args:
            gradient: the one asked for, if `answers_audits` and it is known. It may be overwritten.
        """
        if self._last is not None and self._last[0] == round:
            return self._last[1], 0.0, 0.0
        began = perf_counter()
        answer = self._answer(round, query, gradient)
        answered = perf_counter()
        before = self.memory
        message = self._encode(round, query, answer)
        if self._config.survives:
            self._last = round, message, before
        return message, answered - began, perf_counter() - answered

    def memory_before(self, round: int) -> WorkerMemory:
        """Return the memory before `round`, which is the next to be asked, or the last that was answered."""
        return self._last[2] if self._last is not None and self._last[0] == round else self.memory

    def _answer(self, round: int, query: Query, gradient: Vector | None = None) -> Vector:
        config, answer = self._config, gradient
        if answer is None:
            answer = config.algorithm.answer(query, config.loss, self._shard, self._stream(round, Purpose.ANSWER))
        if isinstance(self._attack, UpdateAttack):
            answer = self._attack.corrupt(answer, self._stream(round, Purpose.CORRUPT))
        return answer

    def _encode(self, round: int, query: Query, answer: Vector) -> bytes:
        """Encode, tamper if the attack says so, absorb what is sent: in this order for every feedback."""
        config = self._config
        outgoing = Outgoing(
            answer=answer,
            point=query.vectors[0],
            scale=query.scale,
            code=config.code(round, self._stream(round, Purpose.SHARED)),
            rng=self._stream(round, Purpose.ENCODE),
            q=config.norm.q,
            again=lambda point: self._answer(round, replace(query, vectors=(point, *query.vectors[1:]))),
            coin=config.coin(round),
        )
        message, memory = config.feedback.encode(self.memory, outgoing)
        message = config.norm_prefix(answer) + message
        if isinstance(self._attack, WireAttack):
            message = self._attack.tamper(message, self._stream(round, Purpose.TAMPER))[: config.message_limit() + 1]
        self.memory = config.feedback.absorb(memory, message, outgoing)
        return message

    def _stream(self, round: int, purpose: Purpose) -> np.random.Generator:
        if purpose not in self._streams:
            self._streams[purpose] = Streams(self._config.seed, self.index, purpose)
        return self._streams[purpose].of(round)
