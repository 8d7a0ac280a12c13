from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._histories import added, center, distances, gram_of_sums, smallest_majority
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Count, Field, component
from mpirobust.errors import PlanFault
from mpirobust.types import Rows, Vector, WorkerNumbers, WorkerVectors


@dataclass(frozen=True)
class Sums:
    """Of each worker, the sums of the answers over the long and the short window, in units of the answer.

    `good` is 1 for those who have not been expelled, else 0, and `rounds` the number of rounds that are summed.
    """

    A: WorkerVectors
    B: WorkerVectors
    good: WorkerNumbers
    rounds: int


@component
class Safeguard(Weighing):
    """SafeguardSGD with two windows (Allen-Zhu et al. 2021, Alg. 1): expels for good who strays over many rounds.

    The answers of each worker, over the number of good ones, are summed in windows of `T1` and of `T0` <= `T1` rounds.
    `A_med` is a sum with those of more than half of all workers within `threshold1`; who is farther than twice that
    from it is expelled, and likewise for the short window. The step is the mean of the good. Honest sums differ by the
    root of the rounds, what a fixed bias adds by the rounds. Without thresholds (in units of the answer), they are the
    smallest with which there is a majority: that choice is ours, and so is to drop already in the round that expels.
    `noise` is ν, the deviation of the Gaussian noise for each coordinate of the step before the step size, from
    the rule's stream. An unsound message is in no sum. The center keeps 2 m d numbers.

    Attributes:
        T0: rounds of the short window.
        T1: rounds of the long window.
        threshold0: threshold of the short window, in units of the answer (default: the smallest with a majority).
        threshold1: threshold of the long window, in units of the answer (default: the smallest with a majority).
        noise: ν, standard deviation of the Gaussian noise on each coordinate of the step.
    """

    T0: Count = 10
    T1: Count = 60
    threshold0: Annotated[float, Field(gt=0)] | None = None
    threshold1: Annotated[float, Field(gt=0)] | None = None
    noise: Annotated[float, Field(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if self.T1 < self.T0:
            raise PlanFault("T1", f"{self.T1} rounds are fewer than T0 = {self.T0}; T1 is the longer window")

    def judge(self, answers: Answers, memory: Sums | None, context: Context) -> Verdict:
        m = len(answers)
        good, rounds = (np.ones(m), 0) if memory is None else (memory.good.copy(), memory.rounds)
        workers = np.flatnonzero(answers.sound & (good > 0))
        kept = np.zeros(m, dtype=bool)
        if not workers.size:
            return Verdict(answers.average(kept), kept, memory)
        share = 1 / good.sum()
        A = added(memory.A if memory and rounds % self.T1 else None, answers, workers, share)
        B = added(memory.B if memory and rounds % self.T0 else None, answers, workers, share)
        near = _near(A, workers, self.threshold1) & _near(B, workers, self.threshold0)
        kept[workers[near]] = True
        good[workers[~near]] = 0.0
        step = answers.average(kept) + self._perturbation(answers, context)
        return Verdict(step, kept, Sums(A, B, good, rounds + 1))

    def tolerates(self) -> float | None:
        return 0.5

    def memory(self) -> type | None:
        return Sums

    def _perturbation(self, answers: Answers, context: Context) -> Vector | float:
        if not self.noise:
            return 0.0
        drawn: Vector = context.stream().standard_normal(answers.dim)
        return answers.scale * self.noise * drawn


def _near(sums: WorkerVectors, workers: Rows, threshold: float | None) -> NDArray[np.bool_]:
    """Return whose sums are within twice the threshold of one that has those of most within it."""
    apart = distances(gram_of_sums(sums, workers))
    radius = smallest_majority(apart, len(sums)) if threshold is None else threshold
    return np.asarray(apart[center(apart, radius)] <= 2 * radius)
