"""One round of an omniscient attack: what was due, what is sent instead, and what the center makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context, bound
from mpirobust.aggregators.mean import Mean
from mpirobust.answers import Inbox
from mpirobust.attacks.base import Attack, MessageAttack
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.cluster.wire import Wire
from mpirobust.cluster.worker import WorkerConfig
from mpirobust.compressors.base import Code, Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.feedback.difference import Difference
from mpirobust.feedback.none import NoFeedback
from mpirobust.plan import Plan
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.codes import inbox_of
from mpirobust.testing.support.judging import judged
from mpirobust.types import Message, Norm, Rows, Vector, flat

SEED, ROUND = 5, 3


def vectors(m: int, dim: int, seed: int = 0) -> NDArray[np.float64]:
    """Answers that agree more or less, of different lengths, shape (m, dim)."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(dim) + 0.5 * rng.standard_normal((m, dim))) * rng.uniform(0.5, 2, (m, 1))


class Round:
    """All workers have sent the code of their vector, those in `instead` other bytes.

    With `states`, shape (m, dim), it is a round of compressed differences (EF21) from these on.

    Attributes:
        due: the messages before anything is forged.
        honest: numbers of the honest workers.
        judge: what the attacker may ask, the mean.
        attack_memory: what the attacker remembers of the round before.
    """

    def __init__(
        self,
        attack: Attack,
        vectors: NDArray[np.float64],
        compressor: Compressor | None = None,
        norm: Norm | None = None,
        instead: Mapping[int, bytes] | None = None,
        states: NDArray[np.float64] | None = None,
    ) -> None:
        m, dim = vectors.shape
        self.config = replace(
            _config(),
            wire=Wire(
                SEED,
                flat(dim),
                compressor or Identity(),
                norm or Norm(),
                NoFeedback() if states is None else Difference(),
            ),
            attack=attack,
            byzantine=byzantine(attack, m, SEED),
            weights=np.ones(m),
        )
        self.states = states
        self.receiver = RoundReceiver(self.config, m)
        if states is not None:
            self.receiver.restore("state", states)
        self.judge = bound(Mean(), None, Context())
        self.attack_memory: Any = None
        self._codes = self.config.wire.codes(ROUND)
        self.honest = np.setdiff1d(np.arange(m), self.config.byzantine)
        self.due: list[Message] = []
        for worker, v in enumerate(vectors):
            step = v if states is None else v - states[worker]
            message = self.config.wire.norm_prefix(v) + self._code(worker).encode(
                step, stream(SEED, worker, ROUND, Purpose.ENCODE)
            )
            self.due.append(memoryview(bytearray((instead or {}).get(worker, message))))  # as cut from a buffer

    def forged(self) -> list[Message]:
        """Return the messages that the center receives."""
        assert isinstance(self.config.attack, MessageAttack)
        self.receiver.attack_memory = self.attack_memory
        codes = self.config.wire.codes(ROUND)
        return self.receiver.forged(self.config.attack, ROUND, 1.0, self.judge, codes, self.due)

    def inbox(self, messages: list[Message]) -> Inbox:
        """Return the answers that the rule judges when these are sent."""
        crossed = self.config.wire.inbox(self._codes, messages)
        if self.states is None:
            return crossed
        moved: list[Message] = [b""] * len(messages)
        for worker in np.flatnonzero(crossed.sound).tolist():
            step = self._code(worker).decode(messages[worker])
            moved[worker] = (self.states[worker] + step).tobytes()
        return inbox_of(moved, self.config.wire.dim, Identity(), self.config.wire.norm)

    def _code(self, worker: int) -> Code:
        return self._codes.of(worker)

    def decoded(self, messages: list[Message], workers: NDArray[np.intp]) -> NDArray[np.float64]:
        """The vectors of these workers, shape (len(workers), dim); sound ones."""
        return np.concatenate([block.copy() for _, block in self.inbox(messages).blocks(workers)], axis=1)

    def attack(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The vectors that honest workers sent, and those that Byzantine workers sent."""
        sent = self.forged()
        sound = self.honest[self.inbox(sent).sound[self.honest]]
        return self.decoded(sent, sound), self.decoded(sent, self.config.byzantine)


@cache
def _config() -> WorkerConfig:
    return LocalRun(regression_plan()).config


def byzantine(attack: Attack | None, workers: int, seed: int) -> Rows:
    """The Byzantine workers of a plan with this attack."""
    return replace(_plan(), attack=attack, workers=workers, seed=seed).byzantine()


@cache
def _plan() -> Plan:
    return regression_plan()


def parallel(v: Vector, w: Vector) -> float:
    """The cosine between two vectors."""
    return float(v @ w / np.sqrt((v @ v) * (w @ w)))


def run(local: LocalRun) -> list[Vector]:
    """The iterates of a run."""
    plan, state = local.plan, local.plan.algorithm.start(local.x0, local.cluster)
    iterates = [state.x]
    while not plan.algorithm.finished(state):
        t = len(iterates) - 1
        inbox = local.ask(t, plan.algorithm.query(state)).answers
        rng = stream(plan.seed, CENTER, t, Purpose.ADVANCE)
        state = plan.algorithm.advance(state, judged(plan.aggregator, inbox), rng)
        iterates.append(state.x)
    return iterates
