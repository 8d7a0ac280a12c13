"""The contracts of an attack: what a Byzantine worker may change, from its data to its bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from mpirobust.answers import Inbox
from mpirobust.component import component
from mpirobust.shard import Shard
from mpirobust.types import Message, Rows, Vector


@component
class Attack(ABC):
    """An attack by ⌊αm⌋ workers, chosen by the seed."""

    alpha: Annotated[float, Field(ge=0, lt=0.5)]

    @abstractmethod
    def admit(self, classes: int) -> None:
        """Raise `PlanFault` where the attack has no meaning on data with that many classes (0: real targets)."""


class DataAttack(Attack):
    """Trains on wrong data and is honest from there on."""

    @abstractmethod
    def poison(self, shard: Shard, rng: np.random.Generator) -> Shard:
        """The shard that the worker uses in place of its own, which is left as it is."""


class UpdateAttack(Attack):
    """Changes the answer and then compresses it as it should (P1 Option I's adversary)."""

    @abstractmethod
    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        """What is compressed in place of `answer`, shape (d,)."""


@dataclass(frozen=True)
class Spy:
    """What an omniscient attacker knows of a round: everything.

    Attributes:
        inbox: what the rule would judge if nothing were forged, in units of the answer.
        due: the bytes that crossed, before anything was forged.
        honest: numbers of the honest workers, ascending.
        byzantine: numbers of its own workers, ascending.
        encode: `(worker, vector, rng) -> message` with the code that the worker would have used.
        measure: `(worker, message) -> norm` as the rule will find it; +inf where the message is unsound.
        one_code: whether the bytes of one worker mean the same from any other.
    """

    inbox: Inbox
    due: Sequence[Message]
    honest: Rows
    byzantine: Rows
    encode: Callable[[int, Vector, np.random.Generator], bytes]
    measure: Callable[[int, bytes], float]
    one_code: bool

    @cached_property
    def sound(self) -> Rows:
        """The honest workers whose messages are sound."""
        return self.honest[self.inbox.sound[self.honest]]

    @cached_property
    def moments(self) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the honest vectors, coordinate by coordinate, each of shape (d,)."""
        mean, deviation = np.zeros(self.inbox.dim), np.zeros(self.inbox.dim)
        if self.sound.size:
            for where, block in self.inbox.blocks(self.sound):
                mean[where], deviation[where] = block.mean(axis=0), block.std(axis=0)
        return mean, deviation

    def of_norm(self, norm: float, worker: int, v: Vector, rng: np.random.Generator) -> bytes:
        """The message, among those for positive multiples of `v`, that the rule measures as `norm` or a trifle less.

        Codes change norms, so it is the code that is measured, once to scale it and then to
        stay below. Where the norm does not follow the vector's (no scale is sent, or it is added
        to a state that is elsewhere), it is what it is.
        """
        largest = np.abs(v).max(initial=0.0)
        v = v / largest if 0 < largest < np.inf else np.zeros_like(v)
        reach = norm / max(np.sqrt(v @ v), 1.0)
        message = self.encode(worker, reach * v, deepcopy(rng))  # a copy each time: equal draws, another scale
        for short in (0.0, 1e-15, 1e-7, 1e-6, 1e-3):  # by a rounding of float64, of float32, ...
            measured = self.measure(worker, message)
            if not 0 < measured < np.inf or (short and measured <= norm):
                break
            reach *= (1 - short) * norm / measured
            message = self.encode(worker, reach * v, deepcopy(rng))
        return message


class MessageAttack(Attack):
    """Knows every message of the round, may collude, and sends any bytes (P1 Option II's adversary)."""

    @abstractmethod
    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        """What the center receives from `worker`; cut one byte above the longest honest message."""


class WireAttack(Attack):
    """Sends bytes of its own choice, knowing only what it should have sent."""

    @abstractmethod
    def tamper(self, message: bytes, rng: np.random.Generator) -> bytes:
        """What is sent in place of `message`; the wire cuts it one byte above the longest honest message."""
