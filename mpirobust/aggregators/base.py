"""The contract of an aggregation rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mpirobust.answers import Answers
from mpirobust.errors import PlanFault
from mpirobust.types import Vector

Fraction: TypeAlias = Annotated[float, Field(ge=0, lt=0.5)]  # of the workers


@dataclass(frozen=True)
class Verdict:
    """What the center makes of a round: the step, shape (d,), and which workers it came from, shape (m,).

    A round in which nobody is kept has the step zero.
    """

    step: Vector
    kept: NDArray[np.bool_]


class Aggregator(ABC):
    """Turns the messages of a round into one step. Never keeps an unsound message."""

    @abstractmethod
    def admit(self, workers: int, byzantine: int) -> None:
        """Raise `PlanFault` with the field that does not fit so many workers, `byzantine` of them Byzantine."""

    @abstractmethod
    def judge(self, inbox: Answers) -> Verdict:
        """The verdict on one round."""

    @abstractmethod
    def tolerates(self) -> float | None:
        """The fraction of Byzantine workers that the rule is set for, 1/2 for any minority.

        None where no fraction says it: the rule defends against none, or `admit` knows more.
        """


class Weighing(Aggregator):
    """A rule that counts each worker as often as `inbox.weights` says; where all say the same, no bit changes.

    What it tolerates is then a share of the weight, while β and what `admit` is told go by the head.
    """


def share(beta: float, workers: int) -> int:
    """⌈βm⌉, where a product that is whole but for rounding counts as whole."""
    return ceil(beta * workers - 1e-9)


def max_faulty(rule: Aggregator, workers: int, byzantine: int) -> int:
    """How many of the workers may be Byzantine or absent, `byzantine` of them being so: what the rule is set for.

    Where the rule defends against none, all but one may be absent.
    """
    return next(n for n in count(byzantine) if not _stands(rule, workers, n + 1))


def _stands(rule: Aggregator, workers: int, lost: int) -> bool:
    beta = rule.tolerates()
    if beta is not None and not (lost <= share(beta, workers) if beta < 1 / 2 else 2 * lost < workers):
        return False
    try:
        rule.admit(workers, lost)
    except PlanFault:
        return False
    return lost < workers
