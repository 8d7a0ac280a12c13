"""The contract of an algorithm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from mpirobust.aggregators.base import Verdict
from mpirobust.components import Count, Field, component, newest
from mpirobust.feedback.base import Feedback
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Norm, Vector

_HIGHEST = 10**6  # the norm of a higher order is the largest entry, to six digits
Order: TypeAlias = (
    Annotated[int, Field(ge=1, le=_HIGHEST)] | Annotated[float, Field(ge=1, le=_HIGHEST)] | Literal["inf"]
)


class State(Protocol):
    """The state of an algorithm between rounds: a frozen dataclass of arrays and numbers, as checkpoints store it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def x(self) -> Vector:
        """The iterate."""


@runtime_checkable
class Escaping(Protocol):
    """A state of an algorithm that spends rounds on getting away from saddle points."""

    @property
    def escaping(self) -> bool:
        """True if the round just done was such a round."""


def escaping(state: State) -> bool:
    """Return whether the round that led to `state` was spent on leaving a saddle point; the trace shows it."""
    return isinstance(state, Escaping) and state.escaping


S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Query:
    """The request of the center to the workers in one round.

    Attributes:
        vectors: what is broadcast, each of shape (d,); the point comes first.
        scale: what one unit of an answer is worth (the step size). Applied once: by
            the worker before it compresses if there is error feedback, else by the center.
        kind: the number of the question, for algorithms that ask more than one.
        coded: the messages that cross in place of the vectors, to workers that have those of the last query of this
            kind; empty without a coded way down. See `cluster.downlink`.
    """

    vectors: tuple[Vector, ...]
    scale: float = 1.0
    kind: int = 0
    coded: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Cubic:
    """The parameters of P2 Alg. 1.

    Attributes:
        M, gamma, eta: as in the paper.
        outside: the parts of the method that P2's Theorem 4 does not cover, as clauses that say what it assumes.
        query: `x, g -> query` for the steps at x, g the gradient of the objective there.
    """

    M: float
    gamma: float
    eta: float
    outside: tuple[str, ...]
    query: Callable[[Vector, Vector], Query]


class Terrain(Protocol):
    """The properties of the honest objective that an algorithm may query before its first round, not in the ledger."""

    def smoothness(self, x: Vector) -> float:
        """Return the largest absolute eigenvalue of the (weighted) mean Hessian at `x`, by power iteration."""


@component
class Algorithm(ABC, Generic[S]):
    """Center side and worker side of one method. Pure: all that changes is in the state.

    Attributes:
        rounds: rounds of communication.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"rounds"})

    rounds: Count

    def __init_subclass__(cls, **others: Any) -> None:
        """An algorithm that changes `answer` of another does not inherit what that says of its answers."""
        super().__init_subclass__(**others)
        if newest(cls, "asks_gradients", "answer") != "asks_gradients":
            type.__setattr__(cls, "asks_gradients", Algorithm.asks_gradients)

    @property
    @abstractmethod
    def state(self) -> type[S]:
        """The class of the state."""

    def norm(self) -> Norm:
        """Return how the center measures the messages; by default by their 2-norm."""
        return Norm()

    def asks_gradients(self, rows: int) -> bool:
        """Return whether every answer is `loss.gradient(x, shard)` at the point of the query; nothing is drawn.

        A worker may then answer with the gradient that an audit at this point has computed.

        Args:
            rows: of the shard.
        """
        return False

    def steps_every_round(self) -> bool:
        """Return whether the center takes a step in every round, and asks next where it led: a continuation."""
        return True

    def admit(self, loss: Loss, feedback: Feedback) -> None:
        """Raise `PlanFault` with the field that does not fit the loss or the feedback of the plan."""
        return

    def vectors_down(self) -> int:
        """Return the largest number of vectors that a query has."""
        return 1

    def outside_p1(self, rows: int) -> list[str] | None:
        """Return the parts of the method that P1's theorems do not cover, as clauses that say what they assume instead.

        None if the method is not P1's gradient descent at all.

        Args:
            rows: of the largest shard.
        """
        return None

    def cubic(self, rows: int) -> Cubic | None:
        """Return the parameters of P2 Alg. 1 if the method is that one; `rows` as in `outside_p1`."""
        return None

    def ball(self, x0: Vector) -> tuple[Vector, float] | None:
        """Return center and radius of W, given the starting point; None for all of R^d."""
        return None

    @abstractmethod
    def start(self, x0: Vector, terrain: Terrain) -> S:
        """Return the state before round 0."""

    @abstractmethod
    def query(self, state: S) -> Query:
        """Return the query for the workers."""

    @abstractmethod
    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        """Worker side: return the answer to `query` on one shard, shape (d,), a new array."""

    def trial(self, query: Query, step: Vector) -> Vector | None:
        """Return where `step`, a candidate for `Verdict.step`, leads from the point of the query; None if nowhere."""
        return query.vectors[0] - step

    @abstractmethod
    def advance(self, state: S, verdict: Verdict, rng: np.random.Generator) -> S:
        """Center side: return the state after the round; `verdict.step` includes the query's scale."""

    @abstractmethod
    def finished(self, state: S) -> bool:
        """Return whether there is nothing more to ask."""
