from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from mpirobust.aggregators._histories import added, center, distances, gram_of_sums
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Field, component
from mpirobust.types import Vector, WorkerNumbers, WorkerVectors


@dataclass(frozen=True)
class Path:
    """The path of each worker, in units of the answer.

    Attributes:
        A: the sum of the products of the answers with x_t - x_0.
        B: the sum of the answers.
        good: 1 for those who have not been expelled, else 0.
        x0: the first point.
    """

    A: WorkerNumbers
    B: WorkerVectors
    good: WorkerNumbers
    x0: Vector


@component
class ByzantineSGD(Weighing):
    """ByzantineSGD (Alistarh, Allen-Zhu, Li 2018, Alg. 1): expels for good by three tests of the path of a worker.

    A worker stays good if the sum of its answers' products with x_t - x_0 is within `T_A` of the median, the sum of its
    answers within `T_B` of one that has those of most others within `T_B`, and its answer within 4 `V` of one
    that has most others within 2 `V`. The step is the mean of the good (the paper divides by m instead). Over T
    rounds with honest answers within V of the gradient and x_t within D of x_0, the paper has
    T_A = 4 D V √(T log(16 m T / δ)) and T_B the same without D. All are in units of the answer. An
    unsound message is in no sum. Outside of a run there is no path, and A is 0. The center keeps m d numbers.

    Attributes:
        V: how far an honest answer may be from the gradient, in units of the answer.
        T_A: threshold of the sums of products with the path, in units of the answer times the model's.
        T_B: threshold of the sums of answers, in units of the answer.
    """

    V: Annotated[float, Field(gt=0)]
    T_A: Annotated[float, Field(gt=0)]
    T_B: Annotated[float, Field(gt=0)]

    def judge(self, answers: Answers, memory: Path | None, context: Context) -> Verdict:
        m = len(answers)
        x = np.zeros(answers.dim) if context.query is None else np.asarray(context.query.vectors[0], np.float64)
        good, x0 = (np.ones(m), x) if memory is None else (memory.good.copy(), memory.x0)
        workers = np.flatnonzero(answers.sound & (good > 0))
        kept = np.zeros(m, dtype=bool)
        if not workers.size:
            return Verdict(answers.average(kept), kept, memory)
        A, away, products = np.zeros(m) if memory is None else memory.A.copy(), x - x0, np.zeros(workers.size)
        with np.errstate(over="ignore", invalid="ignore"):
            for where, block in answers.blocks(workers):
                products += block @ away[where] / answers.scale
        finite = np.isfinite(products)  # else no median
        A[workers] += np.where(finite, products, 0.0)
        B = added(None if memory is None else memory.B, answers, workers)
        near = finite & (np.abs(A[workers] - np.median(A[workers])) <= self.T_A)
        apart = distances(gram_of_sums(B, workers))
        near &= apart[center(apart, self.T_B)] <= self.T_B
        V, apart = self.V * answers.scale, distances(answers.gram(workers))
        near &= apart[center(apart, 2 * V)] <= 4 * V
        kept[workers[near]] = True
        good[workers[~near]] = 0.0
        return Verdict(answers.average(kept), kept, Path(A, B, good, x0))

    def tolerates(self) -> float | None:
        return 0.5

    def memory(self) -> type | None:
        return Path
