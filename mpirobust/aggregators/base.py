"""The contract of an aggregation rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpirobust.answers import Answers, ArrayAnswers
from mpirobust.components import Field, component
from mpirobust.errors import PlanFault
from mpirobust.numerics.given import real
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Given, Vector, of_workers

if TYPE_CHECKING:
    from mpirobust.algorithms.base import Algorithm, Query

Fraction: TypeAlias = Annotated[float, Field(ge=0, lt=0.5)]  # of the workers


@dataclass(frozen=True)
class Verdict:
    """The judgement on one round.

    Attributes:
        step: shape (d,); zero if no worker is kept.
        kept: whether each worker is in the step, shape (m,).
        memory: what the rule keeps for the next round of this kind of query; None if it keeps nothing.
    """

    step: Vector
    kept: NDArray[np.bool_]
    memory: Any = None


@dataclass(frozen=True)
class Oracle:
    """The loss on the center's own rows (`center_rows` of the plan), which no worker has seen or can forge.

    Attributes:
        algorithm: of the plan, for what a worker would answer with these rows.
    """

    loss: Loss
    shard: Shard
    algorithm: Algorithm[Any]

    def value(self, x: Vector) -> float:
        """Return the loss at `x`."""
        return self.loss.value(x, self.shard)

    def gradient(self, x: Vector) -> Vector:
        """Return its gradient at `x`, shape (d,)."""
        return self.loss.gradient(x, self.shard)

    def answer(self, query: Query, rng: np.random.Generator) -> Vector:
        """Return the answer of a worker that has these rows, shape (d,)."""
        return self.algorithm.answer(query, self.loss, self.shard, rng)

    def trial(self, query: Query, step: Vector) -> float | None:
        """Return the loss where `step` leads, which includes the query's scale; None if none is taken."""
        x = self.algorithm.trial(query, step)
        return None if x is None else self.value(x)


@dataclass(frozen=True)
class Context:
    """The round in which a rule is asked.

    Attributes:
        round: t, from 0.
        query: what the workers were asked; None outside of a run.
        seed: of the run.
        oracle: of the center's own rows; None if it has none.
    """

    round: int = 0
    query: Query | None = None
    seed: int = 0
    oracle: Oracle | None = None

    def stream(self) -> np.random.Generator:
        """Return the rule's random stream of this round, from its beginning: the same at every call."""
        return stream(self.seed, CENTER, self.round, Purpose.AGGREGATE)

    @cached_property
    def answer(self) -> Vector:
        """The answer of the center's own rows to the query, in the units of `Answers.blocks`, shape (d,).

        Raises:
            ValueError: there are no such rows, or no query.
        """
        if self.oracle is None or self.query is None:
            raise ValueError("the center has no rows of its own, or no query to answer")
        rng = stream(self.seed, CENTER, self.round, Purpose.ANSWER)
        return np.asarray(self.query.scale * self.oracle.answer(self.query, rng))


class Aggregator(ABC):
    """Turns the answers of a round into one step. Never keeps an unsound answer."""

    def admit(self, workers: int, byzantine: int) -> None:
        """Raise `PlanFault` with the field that does not fit so many workers, `byzantine` of them Byzantine."""
        return

    @abstractmethod
    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        """Return the verdict on one round. Pure: an attacker may ask what the rule would do.

        Args:
            answers: of all m workers.
            memory: that of the verdict on the round before with this kind of query; None in the first, and always
                for a rule that keeps nothing.
            context: the round, its query, the rule's random stream, the center's own rows.
        """

    @abstractmethod
    def tolerates(self) -> float | None:
        """Return the fraction of Byzantine workers that the rule is set for, 1/2 for any minority.

        None if no fraction describes it: the rule defends against none, or `admit` decides.
        """

    def memory(self) -> type | None:
        """Return the class of `Verdict.memory`, a frozen dataclass of vectors and numbers; None if there is no memory.

        Vectors have shape (d,), or are `WorkerVectors` and `WorkerNumbers` (types.py), and are in units of the answer
        (before `Answers.scale`). It goes into checkpoints.
        """
        return None

    def weighs(self) -> bool:
        """Return whether each worker counts as often as `answers.weights` says; see `Weighing`."""
        return False

    def knows_workers(self) -> bool:
        """Return whether it matters which worker has sent what: the rule remembers each, or treats one otherwise."""
        return remembers_workers(self)

    def asks_center(self) -> bool:
        """Return whether the rule judges by the center's own rows, so that `Context.oracle` may not be None."""
        return False

    def trims(self, workers: int) -> int | None:
        """Return how many of `workers` the rule drops by norm before it averages the rest; None for another rule."""
        return None

    def kappa(self, workers: int, byzantine: int) -> float | None:
        """Return κ with which the rule is (f, κ)-robust, f = `byzantine`; None if none is known.

        Whatever f of the `workers` send, which `admit` has let through: with S the others, all sound and of equal
        weight, `||F(x) - mean_S||² <= κ mean_{i in S} ||x_i - mean_S||²` (Allouah et al. 2023a). Those of
        this package are proved in docs/RULES.md. A rule that derives from another and judges otherwise defines it anew.
        """
        return None

    def __call__(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Return the aggregate of `vectors`, shape (m, d), as in the first round of a run; shape (d,).

        A row with an entry that is not finite is never kept.

        Raises:
            PlanFault: as `rows_of`, or the rule refuses so many rows.
        """
        return judge_rows(self, rows_of(vectors), None, Context()).step.astype(np.float64, copy=False)


AggregatorLike: TypeAlias = Aggregator | Given


def rows_of(vectors: ArrayLike) -> NDArray[np.float64]:
    """Return a copy of an array of m vectors, shape (m, d), float64.

    Raises:
        PlanFault: the shape is another, or there is something else in it than real numbers.
    """
    rows = real(vectors, "vectors")
    if rows.ndim != 2 or not rows.size:
        raise PlanFault("vectors", f"expected an array of shape (m, d), not {rows.shape}")
    return rows


def judge_rows(rule: Aggregator, rows: NDArray[np.float64], memory: Any, context: Context) -> Verdict:
    """Return the verdict on the rows of an array, shape (m, d); `memory` and `context` as in `Aggregator.judge`.

    Raises:
        PlanFault: the rule refuses so many rows, or judges by rows of the center's own.
    """
    rule.admit(len(rows), 0)
    if context.oracle is None:
        expect_alone(rule)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run: such rows are unsound
        return rule.judge(ArrayAnswers(rows), memory, context)


def expect_alone(rule: Aggregator) -> None:
    """Raise `PlanFault` if the rule cannot judge without a plan, whose center has rows of its own."""
    if rule.asks_center():
        raise PlanFault(
            "kind", "the rule judges by rows that the center of a plan keeps (center_rows), and here are none"
        )


def remembers_workers(rule: Aggregator) -> bool:
    """Return whether the memory of the rule has something for each worker."""
    kept = rule.memory()
    return kept is not None and any(of_workers(hint) for hint in get_type_hints(kept, include_extras=True).values())


Judge: TypeAlias = Callable[[Answers], Verdict]


def bound(aggregator: Aggregator, memory: Any, context: Context) -> Judge:
    """Return the rule as it stands in one round. A call commits nothing."""
    return lambda answers: aggregator.judge(answers, memory, context)


class Weighing(Aggregator):
    """A weighted rule: each worker counts as often as `answers.weights` says. Equal weights give bit-identical results.

    Its tolerance is then a share of the weight, while β and `admit` count workers.
    """

    def weighs(self) -> bool:
        return True


@component
class SetForBeta(Aggregator):
    """A rule that is set for ⌈βm⌉ Byzantine workers, which are a minority unless `admit` says otherwise.

    Attributes:
        beta: β, the largest fraction of Byzantine workers that the rule is set for.
    """

    beta: Fraction

    def admit(self, workers: int, byzantine: int) -> None:
        expect_minority(self.beta, workers)

    def tolerates(self) -> float | None:
        return self.beta


def share(beta: float, workers: int) -> int:
    """Return ⌈βm⌉; a product that is whole except for rounding counts as whole."""
    return ceil(beta * workers - 1e-9)


def expect_minority(beta: float, workers: int) -> None:
    """Raise `PlanFault` unless ⌈βm⌉ of the workers are a minority."""
    if 2 * share(beta, workers) >= workers:
        raise PlanFault("beta", f"{beta} of {workers} workers, rounded up, is no minority")


def max_faulty(rule: Aggregator, workers: int, byzantine: int) -> int:
    """Return how many of the workers may be Byzantine or absent if `byzantine` of them are Byzantine.

    The rule is set for this number. If it defends against none, all but one may be absent.
    """
    return next(n for n in count(byzantine) if not _stands(rule, workers, n + 1))


def bears(beta: float | None, workers: int, lost: int) -> bool:
    """Return whether a rule that tolerates `beta` of the workers is set for so many."""
    return beta is None or (lost <= share(beta, workers) if beta < 1 / 2 else 2 * lost < workers)


def _stands(rule: Aggregator, workers: int, lost: int) -> bool:
    if not bears(rule.tolerates(), workers, lost):
        return False
    try:
        rule.admit(workers, lost)
    except PlanFault:
        return False
    return lost < workers
