"""One logical worker: it answers, encodes, and keeps the memory of the feedback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Algorithm, Query
from mpirobust.attacks.base import Attack, DataAttack, MessageAttack, UpdateAttack, WireAttack
from mpirobust.cluster.downlink import WHOLE, Downlink
from mpirobust.cluster.groups import Groups
from mpirobust.cluster.wire import Wire
from mpirobust.feedback.base import Half, Outgoing, WorkerMemory, halves
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.streams import Purpose, Streams
from mpirobust.types import OnFailure, Rows, Vector


@dataclass(frozen=True)
class WorkerConfig:
    """The configuration of all workers of a run, and of the center.

    Attributes:
        wire: the codes and the feedback.
        loss: the problem; each worker evaluates it on its own shard.
        algorithm: the method whose queries the workers answer.
        lengths_vary: whether messages may differ in length, so that the lengths have to be sent as well.
        attack: the attack of the Byzantine workers; None if all are honest.
        byzantine: the numbers of the Byzantine workers, ascending.
        weights: how often each group of workers counts in the step and in the audit, shape (m/r,), float64: the
            objective is `Σ w_i F_i / Σ w_i`.
        on_failure: what happens to the workers of a rank that fails.
        max_faulty: the largest number of Byzantine or absent groups that the aggregation rule is set for.
        downlink: either end of the way down, before the first query of this session.
        survives: whether the run continues if a rank fails: a round may then be repeated or discarded.
        redundancy: r, how many workers are in a group.
    """

    wire: Wire
    loss: Loss
    algorithm: Algorithm[Any]
    lengths_vary: bool
    attack: Attack | None
    byzantine: Rows
    weights: NDArray[np.float64]
    on_failure: OnFailure
    max_faulty: int
    downlink: Downlink = WHOLE
    survives: bool = False
    redundancy: int = 1

    @cached_property
    def groups(self) -> Groups:
        """The workers that have the same rows and the same streams."""
        return Groups(self.weights.size * self.redundancy, self.redundancy)

    @property
    def saved(self) -> tuple[Half, ...]:
        """The memories of the feedback that a checkpoint contains."""
        outvoted = self.redundancy > 1 and self.attack is not None
        return halves(self.wire.feedback.memories(), apart=outvoted or isinstance(self.attack, MessageAttack))

    def weight(self) -> float:
        """Return Σ w_i."""
        return float(self.weights.sum())

    @cached_property
    def round_limit(self) -> int:
        """The bytes of a round's messages at most: a tampered one may be a byte longer than the longest honest one."""
        return self.groups.workers * (self.wire.message_limit() + 1)


class Worker:
    """Worker `index`, on whatever rank it is hosted. Its streams are those of its group.

    So the honest workers of a group send the same bytes, and the Byzantine ones, who collude, the same lies.

    Attributes:
        clean: the shard as it was dealt, which the audit uses.
        test: this worker's part of the test rows.
        memory: the worker's half of the feedback memories, each of shape (d,), float64; zero before the first round.
    """

    def __init__(self, index: int, config: WorkerConfig, clean: Shard, test: Shard | None) -> None:
        self.index = index
        self.clean = clean
        self.test = test
        self.memory = config.wire.worker_memory()
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
        config = self._config
        outgoing = Outgoing(
            answer=answer,
            point=query.vectors[0],
            scale=query.scale,
            code=config.wire.code(round, self._stream(round, Purpose.SHARED)),
            rng=self._stream(round, Purpose.ENCODE),
            q=config.wire.norm.q,
            again=lambda point: self._answer(round, replace(query, vectors=(point, *query.vectors[1:]))),
            coin=config.wire.coin(round),
        )
        message, self.memory = config.wire.encoded(self.memory, outgoing, self._tampering(round))
        return message

    def _tampering(self, round: int) -> Callable[[bytes], bytes] | None:
        """Return what the attack does with the message of a round; None if it leaves it alone."""
        attack = self._attack
        if not isinstance(attack, WireAttack):
            return None
        return lambda message: attack.tamper(message, self._stream(round, Purpose.TAMPER))

    def _stream(self, round: int, purpose: Purpose) -> np.random.Generator:
        if purpose not in self._streams:
            self._streams[purpose] = Streams(self._config.wire.seed, self._config.groups.of(self.index), purpose)
        return self._streams[purpose].of(round)
