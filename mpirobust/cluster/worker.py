"""One logical worker: answer, add the residual, encode, keep the new residual."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Algorithm, Query
from mpirobust.answers import CLAIM
from mpirobust.attacks.base import Attack, DataAttack, UpdateAttack, WireAttack
from mpirobust.compressors.base import AnyCompressor, Compressor, code_of
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.streams import Purpose, Streams
from mpirobust.types import Feedback, Norm, OnFailure, Rows, Vector


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker of a run knows.

    `lengths_vary` says that messages may differ in length, so that the lengths have to cross as well;
    `byzantine` are the workers that do as `attack` says; `weights` is how often each worker counts, shape (m,),
    float64, in the step and in the audit: the objective is `Σ w_i F_i / Σ w_i`. `max_faulty` is how many may be
    Byzantine or absent before the rule no longer stands. `survives` says that the run goes on where a rank dies, so
    that a round may be asked again, or may come to nothing.
    """

    seed: int
    loss: Loss
    algorithm: Algorithm[Any]
    compressor: AnyCompressor
    norm: Norm
    feedback: Feedback
    lengths_vary: bool
    dim: int
    attack: Attack | None
    byzantine: Rows
    weights: NDArray[np.float64]
    on_failure: OnFailure
    max_faulty: int
    survives: bool = False

    def norm_prefix(self, answer: Vector) -> bytes:
        """What is_root a message: under Option I the norm of the answer (P1 Alg. 1 l. 1)."""
        return np.array(q_norm(answer, self.norm.q), CLAIM).tobytes() if self.norm.claimed else b""

    def weight(self) -> float:
        """Σ w_i."""
        return float(self.weights.sum())

    def message_limit(self) -> int:
        """The longest honest message in bytes."""
        return self.compressor.max_nbytes(self.dim) + (CLAIM.itemsize if self.norm.claimed else 0)


class Worker:
    """Worker `index`, on whatever rank it lives.

    Attributes:
        clean: the shard as it was dealt, which the audit uses.
        test: this worker's confirm of the test rows.
        residual: what the feedback keeps, shape (dim,): what compression has left out so far (P1 Alg. 2), or the
            state g_i that the center has as well (EF21); None without.
    """

    def __init__(self, index: int, config: WorkerConfig, clean: Shard, test: Shard | None) -> None:
        self.index = index
        self.clean = clean
        self.test = test
        self.residual: Vector | None = None if config.feedback == "none" else np.zeros(config.dim)
        self._config = config
        self._streams: dict[Purpose, Streams] = {}
        self._last: tuple[int, bytes, Vector | None] | None = None  # a round, its message, the residual before it
        self._attack = config.attack if index in config.byzantine else None
        self._shard = clean
        if isinstance(self._attack, DataAttack):
            self._shard = self._attack.poison(clean, self._stream(0, Purpose.POISON))

    def reply(self, round: int, query: Query) -> tuple[bytes, float, float]:
        """The message for `query`, and the seconds that the answer and the encoding took.

        Asked again in the same round, since a rank died or a worker failed in it, it says the same again: its residual
        has moved on.
        """
        if self._last is not None and self._last[0] == round:
            return self._last[1], 0.0, 0.0
        began = perf_counter()
        answer = self._answer(round, query)
        answered = perf_counter()
        before = self.residual
        message = self._encode(round, answer, query.scale)
        if self._config.survives:
            self._last = round, message, before
        return message, answered - began, perf_counter() - answered

    def residual_before(self, round: int) -> Vector | None:
        """What `feedback = "residual"` kept before `round`, the next or the last that was answered."""
        return self._last[2] if self._last is not None and self._last[0] == round else self.residual

    def _answer(self, round: int, query: Query) -> Vector:
        config = self._config
        answer = config.algorithm.answer(query, config.loss, self._shard, self._stream(round, Purpose.ANSWER))
        if isinstance(self._attack, UpdateAttack):
            answer = self._attack.corrupt(answer, self._stream(round, Purpose.CORRUPT))
        return answer

    def _encode(self, round: int, answer: Vector, scale: float) -> bytes:
        config = self._config
        code = code_of(config.compressor, config.dim, lambda: self._stream(round, Purpose.SHARED))
        rng = self._stream(round, Purpose.ENCODE)
        if self.residual is None:
            return self._sent(round, config.norm_prefix(answer) + code.encode(answer, rng))
        if config.feedback == "difference":
            message = self._sent(round, code.encode(answer - self.residual, rng))
            self.residual = self._absorbed(code, message, self.residual)
            return message
        p = scale * answer + self.residual  # P1 Alg. 2 l. 5
        message = code.encode(p, rng)
        self.residual = p - self._absorbed(code, message, np.zeros(config.dim))
        return self._sent(round, message)

    def _sent(self, round: int, message: bytes) -> bytes:
        """What goes on the wire."""
        if not isinstance(self._attack, WireAttack):
            return message
        return self._attack.tamper(message, self._stream(round, Purpose.TAMPER))[: self._config.message_limit() + 1]

    def _absorbed(self, code: Compressor, message: bytes, state: Vector) -> Vector:
        """`state` plus the vector of `message`, as the center adds it up; an unsound message adds nothing."""
        try:
            sound = np.isfinite(code.norm(message, self._config.dim, self._config.norm.q))
        except Malformed:
            sound = False
        if sound:
            code.add_to(state, np.ones(1), [message])
        return state

    def _stream(self, round: int, purpose: Purpose) -> np.random.Generator:
        if purpose not in self._streams:
            self._streams[purpose] = Streams(self._config.seed, self.index, purpose)
        return self._streams[purpose].of(round)
