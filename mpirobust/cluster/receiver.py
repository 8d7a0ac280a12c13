"""The center's half of a round: from the bytes that crossed to the input of the rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import nan
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Judge
from mpirobust.algorithms.base import Query
from mpirobust.answers import Inbox
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.cluster.base import Exchange
from mpirobust.cluster.protocol import bytes_down
from mpirobust.cluster.worker import WorkerConfig
from mpirobust.compressors.base import Codes
from mpirobust.feedback.base import CenterMemory
from mpirobust.round_times import RoundTimes
from mpirobust.streams import Purpose, stream
from mpirobust.types import Message, Vector


class RoundReceiver:
    """Receives the messages of every round; keeps the center's half of the feedback and the memory of the attackers.

    Attributes:
        present: the workers that are not absent, shape (m,).
        unreliable: how many workers are Byzantine or absent.
        forgotten: the workers whose memory was lost with their rank and is zero before the next round, shape (m,).
        memory: the center's half of the feedback, shape (m, d) for each name.
        attack_memory: of an omniscient attacker, after the last round; None if it has none.
        strength: of an omniscient attacker, in the last round; NaN if it has none.
        downlink: the center's end of the way down, after the last round.
    """

    def __init__(self, config: WorkerConfig, workers: int) -> None:
        self._config = config
        self._everyone = np.arange(workers)
        self.present = np.ones(workers, dtype=bool)
        self.unreliable = config.byzantine.size
        self.forgotten = np.zeros(workers, dtype=bool)
        self.memory: CenterMemory = config.wire.center_memory(workers)
        self.attack_memory: Any = None
        self.strength = nan
        self.downlink = config.downlink
        self._told: set[int] | None = None  # the kinds of query asked since ranks may hold others; None: they do not

    def crossing(self, query: Query) -> Query:
        """Return `query` as it crosses: without its messages if a rank may lack the last query of its kind."""
        return query if self._told is None or query.kind in self._told else replace(query, coded=())

    def exchange(self, round: int, query: Query, judge: Judge, messages: list[Message], times: RoundTimes) -> Exchange:
        """Return the answers to `query`.

        Args:
            judge: the rule bound to this round, for an omniscient attacker.
            messages: one per worker, in worker order; empty for an absent worker.
            times: of the phases so far; forge is set here.
        """
        config, codes = self._config, self._config.wire.codes(round)
        began = perf_counter()
        if isinstance(config.attack, MessageAttack):
            messages = self.forged(config.attack, round, query.scale, judge, codes, messages)
        times.forge = perf_counter() - began
        inbox = self._inbox(codes, messages)
        answers = config.wire.feedback.receive(self.memory, inbox, query.scale, config.wire.coin(round))
        down = bytes_down(int(self.present.sum()), self.crossing(query))
        if self._told is not None:
            self._told.add(query.kind)
        self.downlink = self.downlink.after(query)
        reset = self.forgotten & self.present
        self.forgotten &= ~self.present
        return Exchange(answers, inbox.nbytes, down, times, ~self.present, reset, self.strength)

    def lose(self, absent: Sequence[int], moved: Sequence[int]) -> None:
        """Mark workers absent; set memory to zero that is lost: of the workers that moved, as on their new rank.

        The center's half of an absent worker stays if the worker's half was the same: `--resume` gives it to both ends.
        The next query of each kind crosses whole.
        """
        self._told = set()
        self.present[list(absent)] = False
        self.unreliable = np.union1d(self._config.byzantine, self._everyone[~self.present]).size
        # The center knows what a worker kept if both ends keep it and no message of the worker was forged.
        of_workers = {half.name for half in self._config.saved if half.at_worker}
        differing = absent if of_workers - self.memory.keys() else np.intersect1d(absent, self._config.byzantine)
        lost = [*(moved if self._config.saved else ()), *(differing if of_workers else ())]
        self.forgotten[lost] = True
        for rows in self.memory.values():
            rows[lost] = 0.0

    def restore(self, name: str, rows: Iterable[Vector]) -> None:
        """Take the memory of this name from a checkpoint."""
        for worker, row in enumerate(rows):
            self.memory[name][worker] = row

    def forged(
        self,
        attack: MessageAttack,
        round: int,
        scale: float,
        judge: Judge,
        codes: Codes,
        messages: list[Message],
    ) -> list[Message]:
        """Return the messages, with those of the Byzantine workers replaced by the omniscient attacker's.

        The attacker chooses the vectors that the rule will judge. `Feedback.aim` converts each to the vector to encode.
        """
        config, wire = self._config, self._config.wire
        feedback, coin = wire.feedback, wire.coin(round)
        answers = feedback.receive(self._copied_memory(), self._inbox(codes, messages), 1.0, coin)

        def encode(worker: int, v: Vector, rng: np.random.Generator) -> bytes:
            aimed = feedback.aim(self.memory, worker, v, coin)
            return wire.norm_prefix(aimed) + codes.of(worker).encode(aimed, rng)

        def measure(worker: int, message: bytes) -> float:
            code = codes.of(worker)
            one = wire.inbox(Codes(code, lambda _: code), [message])
            return feedback.measure(self.memory, worker, one, coin)

        def judged(sent: Sequence[Message]) -> Vector:
            return judge(feedback.receive(self._copied_memory(), self._inbox(codes, sent), scale, coin)).step

        byzantine = config.byzantine[self.present[config.byzantine]]
        honest = np.setdiff1d(self._everyone[self.present], byzantine)
        spy = Spy(
            answers=answers,
            due=messages,
            honest=honest,
            byzantine=byzantine,
            encode=encode,
            measure=measure,
            judge=judged,
            scale=1.0 if feedback.applies_step() else scale,
            stream=lambda worker: stream(wire.seed, worker, round, Purpose.FORGE),
            limit=wire.message_limit() + 1,
            one_code=codes.common is not None and not self.memory,
            memory=self.attack_memory,
        )
        sent = spy.sent(attack)
        self.attack_memory = attack.remember(spy, sent)
        self.strength = attack.strength_in(spy) if byzantine.size else nan
        return sent

    def _copied_memory(self) -> dict[str, NDArray[np.float64]]:
        return {name: rows.copy() for name, rows in self.memory.items()}

    def _inbox(self, codes: Codes, messages: Sequence[Message]) -> Inbox:
        return self._config.wire.inbox(codes, messages, self._config.weights)
