"""The contracts of an attack. A Byzantine worker may change its data, its answer or its bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import floor, nan
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np

from mpirobust.answers import Answers
from mpirobust.components import Field, component
from mpirobust.errors import PlanFault
from mpirobust.shard import Shard
from mpirobust.types import Message, Rows, Vector

T = TypeVar("T")
Knowledge: TypeAlias = Literal["all", "own"] | None  # whose honest answers attackers know; None, as in older plans: all


@component
class Attack(ABC):
    """An attack by ⌊αm⌋ workers, chosen by the seed. Pure: several threads may call it at once for several workers.

    Attributes:
        alpha: α, the fraction of workers that are Byzantine; 0: none is. Either this or `workers` is given.
        workers: the numbers of the workers that are Byzantine, from 0, in place of `alpha`.
    """

    either: ClassVar = ({"alpha"}, {"workers"})

    alpha: Annotated[float, Field(ge=0, lt=1)] | None = None
    workers: tuple[Annotated[int, Field(ge=0)], ...] | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and self.workers is not None:
            raise PlanFault("workers", "alpha chooses the Byzantine workers as well; give one of the two")

    def admit_workers(self, workers: int) -> None:
        """Raise `PlanFault` if neither `alpha` nor `workers` is given, or that names others than of so many workers."""
        if self.alpha is None and self.workers is None:
            raise PlanFault("alpha", "missing, and so is workers; give one of the two")
        named = self.workers or ()
        if len({worker for worker in named if worker < workers}) < len(named):
            raise PlanFault("workers", f"expected different numbers from 0 to {workers - 1}, not {[*named]}")

    def attackers(self, workers: int, rng: np.random.Generator) -> Rows:
        """Return which of so many workers are Byzantine, ascending: those named, or else ⌊αm⌋, drawn."""
        if self.alpha is None:
            return np.array(sorted(self.workers or ()), np.intp)
        return np.sort(rng.permutation(workers)[: floor(self.alpha * workers + 1e-9)])

    def admit(self, classes: int) -> None:
        """Raise `PlanFault` if the attack has no meaning on data with that many classes (0: real targets)."""
        return

    @abstractmethod
    def adheres(self) -> bool:
        """Return whether each Byzantine worker sends the code of some vector, as the adversary of P1 Option I does."""


class DataAttack(Attack):
    """Trains on wrong data and is honest from there on."""

    @abstractmethod
    def poison(self, shard: Shard, rng: np.random.Generator) -> Shard:
        """Return the shard that the worker uses in place of its own, which is left as it is."""

    def adheres(self) -> bool:
        return True


class UpdateAttack(Attack):
    """Changes the answer and then compresses it as it should (P1 Option I's adversary)."""

    @abstractmethod
    def corrupt(self, answer: Vector, rng: np.random.Generator) -> Vector:
        """Return the vector that is compressed in place of `answer`, shape (d,)."""

    def adheres(self) -> bool:
        return True


@dataclass(frozen=True)
class Spy:
    """All data of a round, for an omniscient attacker.

    Attributes:
        answers: what the rule would judge if nothing were forged, in units of the answer.
        due: the bytes that crossed, before anything was forged.
        honest: numbers of the honest workers, ascending.
        byzantine: numbers of its own workers, ascending.
        encode: `(worker, vector, rng) -> message` with the code that the worker would have used, so that the
            rule sees this vector.
        measure: `(worker, message) -> norm` as the rule will find it; +inf if the message is unsound.
        judge: `messages of all workers -> step`: what the plan's rule would make of these bytes. Nothing is
            committed: neither the rule's memory nor that of the feedback.
        scale: the factor between `answers` and that step: the step size if the center applies it, else 1.
        stream: `worker -> rng`: what `forge` gets for this worker, from its beginning.
        limit: the length at which a forged message is cut, in bytes.
        one_code: whether the bytes of one worker mean the same from any other.
        memory: what `MessageAttack.remember` returned in the round before; None in the first.
    """

    answers: Answers
    due: Sequence[Message]
    honest: Rows
    byzantine: Rows
    encode: Callable[[int, Vector, np.random.Generator], bytes]
    measure: Callable[[int, bytes], float]
    judge: Callable[[Sequence[Message]], Vector]
    scale: float
    stream: Callable[[int], np.random.Generator]
    limit: int
    one_code: bool
    memory: Any
    _found: dict[Callable[[Spy], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, make: Callable[[Spy], T]) -> T:
        """Return `make(self)`, computed at the first call of the round: what the attackers work out together.

        Args:
            make: a function, or a method of an attack. It has to be pure, so that who asks first makes no difference.
        """
        if make not in self._found:
            self._found[make] = make(self)
        found: T = self._found[make]
        return found

    def known(self, knowledge: Knowledge) -> Spy:
        """Return what attackers of this knowledge see: with "own", the honest answers of their own workers only."""
        return self.once(_of_their_own) if knowledge == "own" else self

    def sent(self, attack: MessageAttack) -> list[Message]:
        """Return the messages of all workers if `attack` forges those of the Byzantine ones."""
        sent = list(self.due)
        for worker in self.byzantine.tolist():
            sent[worker] = attack.forge(worker, self, self.stream(worker))[: self.limit]
        return sent

    def aggregate(self, sent: Sequence[Message]) -> Vector:
        """Return the aggregate of messages, in units of the answer, shape (d,); zero for a step size of 0."""
        return self.judge(sent) / self.scale if self.scale else np.zeros(self.answers.dim)

    @cached_property
    def middle_norm(self) -> float:
        """The median norm of the sound honest messages, as the center measures it; 0 if there is none."""
        return float(np.median(self.answers.norms[self.sound])) if self.sound.size else 0.0

    @cached_property
    def sound(self) -> Rows:
        """The honest workers whose messages are sound."""
        return self.honest[self.answers.sound[self.honest]]

    @cached_property
    def moments(self) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the honest vectors, coordinate by coordinate, each of shape (d,)."""
        mean, deviation = np.zeros(self.answers.dim), np.zeros(self.answers.dim)
        if self.sound.size:
            for where, block in self.answers.blocks(self.sound):
                mean[where], deviation[where] = block.mean(axis=0), block.std(axis=0)
        return mean, deviation

    @cached_property
    def honest_step(self) -> Vector:
        """The mean of the honest vectors as the center weighs them, in units of the step, shape (d,)."""
        return self.scale * self.answers.average(np.isin(np.arange(len(self.answers)), self.sound))

    def vector(self, worker: int) -> Vector:
        """Return what the rule would see of `worker` if nothing were forged, shape (d,); zero if it is unsound."""
        return self.answers.combine((np.arange(len(self.answers)) == worker) * float(self.answers.sound[worker]))

    def of_norm(self, norm: float, worker: int, v: Vector, rng: np.random.Generator) -> bytes:
        """Return the message for the positive multiple of `v` that the rule measures as `norm` or very little less.

        Codes change norms, so it is the code that is measured, once to scale it and then to
        stay below. If the norm does not follow the vector's (no scale is sent, or it is added
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


def _of_their_own(spy: Spy) -> Spy:
    return replace(spy, honest=spy.byzantine)


class MessageAttack(Attack):
    """Knows every message of the round, may collude, and sends any bytes (P1 Option II's adversary)."""

    @abstractmethod
    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        """Return what the center receives from `worker`; it is cut one byte above the longest honest message."""

    def adheres(self) -> bool:
        return False

    def memory(self) -> type | None:
        """Return the class of what `remember` returns; None if nothing.

        It is a frozen dataclass of vectors of shape (d,) and numbers, and goes into checkpoints.
        """
        return None

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        """Return what the attackers know in the next round. Called once a round, after all messages are forged.

        Args:
            sent: the messages of all workers, those of the Byzantine ones forged.
        """
        return None

    def strength_in(self, spy: Spy) -> float:
        """Return how far the attack goes in this round, for the trace; NaN if no number says so."""
        return nan


class Tunable(MessageAttack):
    """An attack of which one number says how far it goes: its strength, negative for the other way."""

    @abstractmethod
    def strength_in(self, spy: Spy) -> float:
        """Return the strength in this round: that of the plan, or the default for these answers."""

    @abstractmethod
    def with_strength(self, strength: float) -> Tunable:
        """Return the same attack with this strength in every round, any finite number."""


class WireAttack(Attack):
    """Sends bytes of its own choice, knowing only what it should have sent."""

    @abstractmethod
    def tamper(self, message: bytes, rng: np.random.Generator) -> bytes:
        """Return what is sent in place of `message`; it is cut one byte above the longest honest message."""

    def adheres(self) -> bool:
        return False
