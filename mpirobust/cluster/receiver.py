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
from mpirobust.cluster.replay import Replay
from mpirobust.cluster.worker import WorkerConfig
from mpirobust.comm.communicator import named
from mpirobust.compressors.base import Codes
from mpirobust.feedback.base import CenterMemory
from mpirobust.round_times import RoundTimes
from mpirobust.streams import Purpose, stream
from mpirobust.terminal import say
from mpirobust.types import Message, Rows, Vector


class RoundReceiver:
    """Receives the messages of every round; keeps the center's half of the feedback and the memory of the attackers.

    Attributes:
        present: the workers that are not absent, shape (m,).
        hosted: those that a rank has, shape (m,): queries go to them, also if they are absent for another reason.
        unreliable: in how many groups the honest workers are no majority of those present.
        forgotten: the workers whose memory was lost with their rank and is zero before the next round, shape (m,).
        memory: the center's half of the feedback, shape (m/r, d) for each name: a row for each group.
        attack_memory: of an omniscient attacker, after the last round; None if it has none.
        strength: of an omniscient attacker, in the last round; NaN if it has none.
        downlink: the center's end of the way down, after the last round.
        replay: computes some messages again; None if the plan does not ask for it.
    """

    def __init__(self, config: WorkerConfig, workers: int) -> None:
        self._config = config
        self._everyone = np.arange(workers)
        self.present = np.ones(workers, dtype=bool)
        self.hosted = np.ones(workers, dtype=bool)
        self.unreliable = config.groups.lost(config.byzantine).size
        self.forgotten = np.zeros(workers, dtype=bool)
        self.memory: CenterMemory = config.wire.center_memory(len(config.groups))
        self.attack_memory: Any = None
        self.strength = nan
        self.downlink = config.downlink
        self.replay: Replay | None = None
        self._told: set[int] | None = None  # the kinds of query asked since ranks may hold others; None: they do not

    def crossing(self, query: Query) -> Query:
        """Return `query` as it crosses: without its messages if a rank may lack the last query of its kind."""
        return query if self._told is None or query.kind in self._told else replace(query, coded=())

    def exchange(self, round: int, query: Query, judge: Judge, messages: list[Message], times: RoundTimes) -> Exchange:
        """Return the answers to `query`.

        Args:
            judge: the rule bound to this round, for an omniscient attacker.
            messages: one per worker, in worker order; empty for an absent worker.
            times: of the phases so far; forge is set here, and what replay takes is added to audit.
        """
        config, codes = self._config, self._config.wire.codes(round)
        began = perf_counter()
        if isinstance(config.attack, MessageAttack):
            messages = self.forged(config.attack, round, query.scale, judge, codes, messages)
        times.forge = perf_counter() - began
        times.audit += self.replay_ahead(round, query)
        replayed, refuted = self._compared(round, query, messages)
        vote = config.groups.vote(messages, self.present)
        inbox = self._inbox(codes, vote.messages)
        answers = config.wire.feedback.receive(self.memory, inbox, query.scale, config.wire.coin(round))
        down = bytes_down(int(self.hosted.sum()), self.crossing(query))
        if self._told is not None:
            self._told.add(query.kind)
        self.downlink = self.downlink.after(query)
        reset = self.forgotten & self.present
        self.forgotten &= ~self.present
        absent, up = ~self.present, sum(map(len, messages))
        self._part(vote.undecided)
        return Exchange(
            answers=answers,
            bytes_up=up,
            bytes_down=down,
            times=times,
            absent=absent,
            reset=reset,
            outvoted=vote.outvoted,
            replayed=replayed,
            refuted=refuted,
            groups=config.groups,
            strength=self.strength,
        )

    def replay_ahead(self, round: int, query: Query) -> float:
        """Compute the messages of a round that are checked, unless they are known; return the seconds it took."""
        if self.replay is None:
            return 0.0
        began = perf_counter()
        self.replay.messages(round, query)
        return perf_counter() - began

    def _compared(
        self, round: int, query: Query, messages: Sequence[Message]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which messages were computed again, and which of these are others; both of shape (m,)."""
        replayed, refuted = np.zeros((2, self._everyone.size), dtype=bool)
        for worker, due in self.replay.messages(round, query).items() if self.replay is not None else ():
            replayed[worker] = self.present[worker]
            refuted[worker] = self.present[worker] and bytes(messages[worker]) != due
        return replayed, refuted

    def lose(self, absent: Sequence[int], moved: Sequence[int]) -> None:
        """Mark workers absent; set memory to zero that is lost: of the workers that moved, as on their new rank.

        The center's half of an absent worker stays if the worker's half was the same: `--resume` gives it to both ends.
        The next query of each kind crosses whole.
        """
        self._told = set()
        self.present[list(absent)] = self.hosted[list(absent)] = False
        # The center knows what a worker kept if both ends keep it and no message of the worker was forged.
        of_workers = {half.name for half in self._config.saved if half.at_worker}
        differing = absent if of_workers - self.memory.keys() else np.intersect1d(absent, self._config.byzantine)
        lost = [*(moved if self._config.saved else ()), *(differing if of_workers else ())]
        self.forget(lost)

    def forget(self, workers: Sequence[int]) -> None:
        """Note that the memory of these workers is lost.

        One that has a group to agree with is absent from now on, because without the memory it would be outvoted.
        """
        groups = self._config.groups
        self.forgotten[list(workers)] = True
        if groups.size > 1:
            self.present[list(workers)] = False
        remembered = np.bincount(groups.of_all[~self.forgotten], minlength=len(groups)) > 0
        for rows in self.memory.values():
            rows[~remembered] = 0.0
        self.unreliable = groups.lost(self._config.byzantine, self.present).size

    def _part(self, undecided: Rows) -> None:
        """Lose groups of which the center has taken no message while their workers have, if they keep the same memory.

        The two ends differ from now on, and the center cannot say so to the workers.
        """
        if undecided.size and any(half.at_worker and half.at_center for half in self._config.wire.feedback.memories()):
            members = self._config.groups.members(undecided).tolist()
            self.forget(members)
            say(f"mpirobust: {named('worker', members)}: absent from now on, because their groups had no majority")

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
        config, wire, groups = self._config, self._config.wire, self._config.groups
        feedback, coin = wire.feedback, wire.coin(round)
        of_workers = Codes(codes.common, lambda worker: codes.of(groups.of(worker)))
        due = wire.inbox(of_workers, messages, config.weights[groups.of_all])
        answers = feedback.receive(self._copied_memory(groups.of_all), due, 1.0, coin)

        def encode(worker: int, v: Vector, rng: np.random.Generator) -> bytes:
            aimed = feedback.aim(self.memory, groups.of(worker), v, coin)
            return wire.norm_prefix(aimed) + of_workers.of(worker).encode(aimed, rng)

        def measure(worker: int, message: bytes) -> float:
            code = of_workers.of(worker)
            one = wire.inbox(Codes(code, lambda _: code), [message])
            return feedback.measure(self.memory, groups.of(worker), one, coin)

        def judged(sent: Sequence[Message]) -> Vector:
            inbox = self._inbox(codes, groups.vote(sent, self.present).messages)
            return judge(feedback.receive(self._copied_memory(), inbox, scale, coin)).step

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
            stream=lambda worker: stream(wire.seed, groups.of(worker), round, Purpose.FORGE),
            limit=wire.message_limit() + 1,
            one_code=codes.common is not None and not self.memory,
            memory=self.attack_memory,
        )
        sent = spy.sent(attack)
        self.attack_memory = attack.remember(spy, sent)
        self.strength = attack.strength_in(spy) if byzantine.size else nan
        return sent

    def _copied_memory(self, of: Rows | None = None) -> dict[str, NDArray[np.float64]]:
        """Return copies of the rows of all groups, or of these in this order."""
        return {name: rows.copy() if of is None else rows[of] for name, rows in self.memory.items()}

    def _inbox(self, codes: Codes, messages: Sequence[Message]) -> Inbox:
        return self._config.wire.inbox(codes, messages, self._config.weights)
