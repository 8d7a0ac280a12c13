"""The contract of a feedback: worker half and center half of one idea, and the memories that they keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.answers import Answers, Inbox
from mpirobust.compressors.base import Code, Compressor
from mpirobust.errors import Malformed
from mpirobust.types import Given, Message, Vector

WorkerMemory: TypeAlias = Mapping[str, Vector]  # name -> shape (d,), float64; replaced, never changed in place
CenterMemory: TypeAlias = Mapping[str, NDArray[np.float64]]  # name -> shape (m, d); changed in place
Coin: TypeAlias = Callable[
    [], np.random.Generator
]  # makes the stream that all ends share in a round, from its beginning


@dataclass(frozen=True)
class Memory:
    """A vector that is kept for each worker from round to round; zero before the first.

    Checkpoints, recovery and adoption need no other declaration. A memory that the center keeps is saved there;
    otherwise it is fetched from the workers. A worker that moves to another rank begins at zero, and so does the
    center's half.

    Attributes:
        name: a word; the checkpoint has the memory in `memory/<name>`.
        at_worker, at_center: which ends keep it.
    """

    name: str
    at_worker: bool
    at_center: bool


@dataclass(frozen=True)
class Half:
    """The rows that one end keeps of a memory, as a checkpoint has them: in `memory/<label>`."""

    label: str
    name: str
    at_worker: bool


def halves(memories: Sequence[Memory], apart: bool) -> tuple[Half, ...]:
    """Return what a checkpoint holds of these memories.

    One end is enough, because both have absorbed the same messages.

    Args:
        apart: whether some have not. If an omniscient attacker forges messages, its workers absorb the message that was
            due, and the center absorbs the forged one; a worker that is outvoted absorbs its own message.
    """
    kept = []
    for each in memories:
        kept.append(Half(each.name, each.name, at_worker=not each.at_center))
        if apart and each.at_worker and each.at_center:
            kept.append(Half(f"{each.name}_of_workers", each.name, at_worker=True))
    return tuple(kept)


@dataclass(frozen=True)
class Outgoing:
    """All that the worker half may use for one message.

    Attributes:
        answer: to the query of the round, shape (d,).
        point: at which it was asked, shape (d,); to be copied if it is kept.
        scale: the step size of the query.
        code: of this message.
        rng: for what the code draws.
        q: the order of the norm by which the center sorts.
        again: `point -> answer`: the same question on the same rows at another point.
        coin: of the round, the same at all workers and the center.
    """

    answer: Vector
    point: Vector
    scale: float
    code: Code
    rng: np.random.Generator
    q: float
    again: Callable[[Vector], Vector]
    coin: Coin


class Feedback(ABC):
    """Sends in later messages what compression leaves out of one. Pure: all that changes is in the memories.

    A round at a worker is `encode`, then tampering if its attack says so, then `absorb` of the message as it is sent;
    at the center it is `receive`. The two ends agree because both apply `Code.add_to` to the same bytes.
    """

    def memories(self) -> tuple[Memory, ...]:
        """Return the memories that are kept between rounds, each name once."""
        return ()

    @abstractmethod
    def encode(self, memory: WorkerMemory, outgoing: Outgoing) -> tuple[bytes, WorkerMemory]:
        """Worker half, before tampering: return the message and the memory after it."""

    def absorb(self, memory: WorkerMemory, message: Message, outgoing: Outgoing) -> WorkerMemory:
        """Worker half, after tampering: return the memory after `message` was sent."""
        return memory

    @abstractmethod
    def receive(self, memory: CenterMemory, inbox: Inbox, scale: float, coin: Coin) -> Answers:
        """Center half: return the answers that the rule judges; `Answers.scale` is the factor that the center applies.

        Args:
            memory: of all workers of the inbox, changed in place; an unsound message changes nothing.
            inbox: the messages with scale 1.
            scale: the step size of the query; to be applied here if the workers have not.
            coin: as in `Outgoing`.
        """

    def aim(self, memory: CenterMemory, worker: int, v: Vector, coin: Coin) -> Vector:
        """For an omniscient attacker: return the vector to encode for `worker` so that the rule sees `v`."""
        return v

    def measure(self, memory: CenterMemory, worker: int, inbox: Inbox, coin: Coin) -> float:
        """For an omniscient attacker: return the norm that the rule finds if `worker` sends what `inbox` holds."""
        return float(inbox.norms[0])

    def compressors(self, compressor: Compressor) -> tuple[Compressor, ...]:
        """Return the compressors that a round may use: that of the plan, and others for special rounds."""
        return (compressor,)

    def choose(self, coin: Coin) -> int:
        """Return the position in `compressors` of the one that a round uses. Both ends call this."""
        return 0

    def sends_answers(self) -> bool:
        """Return whether a message is the code of the answer itself, as P1 Option I requires."""
        return False

    def applies_step(self) -> bool:
        """Return whether the workers apply the step size before they compress, and keep the rest.

        A message of a round in which the center takes no step would then be lost, so a plan with such an algorithm is
        refused.
        """
        return False

    def p1_algorithm(self) -> Literal[1, 2] | None:
        """Return the algorithm of P1 that a first-order run with this feedback is; None if it is neither."""
        return None


FeedbackLike: TypeAlias = Feedback | Given


def absorbed(code: Code, message: Message, state: Vector, q: float) -> Vector:
    """Return `state` plus the vector of `message`, as the center adds it up; an unsound message adds nothing."""
    state = state.copy()
    try:
        sound = np.isfinite(code.norm(message, q))
    except Malformed:
        sound = False
    if sound:
        code.add_to(state, np.ones(1), [message])
    return state
