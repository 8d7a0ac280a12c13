"""The center's half of a round: from the bytes that crossed to what the rule judges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter

import numpy as np

from mpirobust.algorithms.base import Query
from mpirobust.answers import Inbox
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.cluster.base import Exchange
from mpirobust.cluster.protocol import bytes_down
from mpirobust.cluster.worker import WorkerConfig
from mpirobust.compressors.base import Compressor, code_of
from mpirobust.compressors.identity import Identity
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.round_times import RoundTimes
from mpirobust.streams import Purpose, stream
from mpirobust.types import Message, Norm, Vector


class RoundReceiver:
    """Receives the messages of every round.

    With `feedback = "difference"` (EF21; Richtárik et al. 2021) it keeps a state
    g_i for each worker, as the worker does: a message moves g_i, and the rule judges
    the states. An unsound message leaves g_i where it is and is not judged.

    Attributes:
        present: the workers that live, shape (m,).
        unreliable: how many workers are Byzantine or absent.
        states: g_i, shape (m, d), float64; no rows without that feedback.
    """

    def __init__(self, config: WorkerConfig, workers: int) -> None:
        self._config = config
        self._everyone = np.arange(workers)
        self.present = np.ones(workers, dtype=bool)
        self.unreliable = config.byzantine.size
        self.states = np.zeros((workers if config.feedback == "difference" else 0, config.dim))

    def exchange(self, round: int, query: Query, messages: list[Message], times: RoundTimes) -> Exchange:
        """What came of `query`; the center applies the step size where the workers have not.

        Args:
            messages: one per worker, empty for those that are absent.
        """
        config = self._config
        began = perf_counter()
        if isinstance(config.attack, MessageAttack):
            messages = self.forged(config.attack, round, messages)
        times.forge = perf_counter() - began
        inbox = self._inbox(round, messages, 1.0 if config.feedback == "residual" else query.scale)
        crossed = inbox.nbytes
        if self.states.size:
            for worker in self._everyone[inbox.sound].tolist():
                self._move(self.states[worker], round, worker, messages[worker])
            inbox = self._judged(inbox, query.scale)
        down = bytes_down(int(self.present.sum()), query)
        return Exchange(inbox, crossed, down, times, ~self.present)

    def lose(self, absent: Sequence[int], moved: Sequence[int]) -> None:
        """Some workers are lost, and what feedback had kept for those that live on: here it starts anew as well."""
        self.present[list(absent)] = False
        self.unreliable = np.union1d(self._config.byzantine, self._everyone[~self.present]).size
        if self.states.size:
            self.states[[*absent, *moved]] = 0.0

    def restore(self, states: Iterable[Vector]) -> None:
        """Take the states from a checkpoint."""
        if self.states.size:
            for worker, state in enumerate(states):
                self.states[worker] = state

    def forged(self, attack: MessageAttack, round: int, messages: list[Message]) -> list[Message]:
        """The messages with those of the Byzantine workers replaced by what the omniscient attacker sends.

        The attacker thinks in what the rule will judge: under differences, in states.
        """
        config = self._config
        inbox = self._inbox(round, messages, 1.0)
        if self.states.size:
            ahead = RoundReceiver(config, len(messages))
            ahead.restore(self.states)
            for worker in self._everyone[inbox.sound].tolist():
                ahead._move(ahead.states[worker], round, worker, messages[worker])
            inbox = ahead._judged(inbox, 1.0)

        def encode(worker: int, v: Vector, rng: np.random.Generator) -> bytes:
            wanted = v - self.states[worker] if self.states.size else v
            return config.norm_prefix(wanted) + self._code(round, worker).encode(wanted, rng)

        def measure(worker: int, message: bytes) -> float:
            if not self.states.size:
                return float(self._inbox(round, [message], 1.0, first=worker).norms[0])
            try:
                step = self._code(round, worker).decode(message, config.dim)
            except Malformed:
                return float(np.inf)
            return q_norm(self.states[worker] + step, config.norm.q)

        byzantine = config.byzantine[self.present[config.byzantine]]
        honest = np.setdiff1d(self._everyone[self.present], byzantine)
        one_code = isinstance(config.compressor, Compressor) and not self.states.size
        spy = Spy(inbox, messages, honest, byzantine, encode, measure, one_code)
        sent = list(messages)
        for worker in byzantine.tolist():
            forgery = attack.forge(worker, spy, stream(config.seed, worker, round, Purpose.FORGE))
            sent[worker] = forgery[: config.message_limit() + 1]
        return sent

    def _judged(self, crossed: Inbox, scale: float) -> Inbox:
        """The states as an inbox; what was unsound when it crossed stays so."""
        rows = [state.data if sound else b"" for state, sound in zip(self.states, crossed.sound, strict=True)]
        messages = [memoryview(row).cast("B") for row in rows]
        config, norm = self._config, Norm(self._config.norm.q)
        return Inbox(messages, config.dim, Identity(), norm, scale, np.random.default_rng, config.weights)

    def _move(self, state: Vector, round: int, worker: int, message: Message) -> None:
        self._code(round, worker).add_to(state, np.ones(1), [message])

    def _code(self, round: int, worker: int) -> Compressor:
        config = self._config
        return code_of(config.compressor, config.dim, lambda: stream(config.seed, worker, round, Purpose.SHARED))

    def _inbox(self, round: int, messages: Sequence[Message], scale: float, first: int = 0) -> Inbox:
        """The messages of the workers from `first` on, as they crossed."""
        config = self._config
        return Inbox(
            messages,
            config.dim,
            config.compressor,
            config.norm,
            scale,
            lambda worker: stream(config.seed, first + worker, round, Purpose.SHARED),
            config.weights[first : first + len(messages)],
        )
