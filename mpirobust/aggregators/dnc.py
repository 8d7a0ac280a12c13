from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._geometry import FAR, widest
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers, gram_of
from mpirobust.components import Count, Field, component
from mpirobust.errors import PlanFault
from mpirobust.types import Rows


@component
class DnC(SetForBeta, Weighing):
    """Divide and conquer, f = ⌈βm⌉ (Shejwalkar, Houmansadr 2021, Alg. 2).

    Several times, `coordinates` of the d are drawn from the rule's stream, and the ⌈`remove` f⌉ of n sound messages go
    that stray farthest from the mean along the direction in which these are spread most. The step is the mean of the
    messages that always stay, or else stay most often. What is in coordinates that are not drawn is not seen.

    Attributes:
        coordinates: coordinates that are drawn each time; all of them if the model has fewer.
        iterations: how many times coordinates are drawn.
        remove: messages dropped each time, as a multiple of f.
    """

    coordinates: Count = 10_000
    iterations: Count = 5
    remove: Annotated[float, Field(gt=0)] = 1.0

    def admit(self, workers: int, byzantine: int) -> None:
        super().admit(workers, byzantine)
        if self._gone(workers) >= workers:
            raise PlanFault(
                "remove", f"{self.remove} times {share(self.beta, workers)} of {workers} workers leaves none"
            )

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, rng = np.flatnonzero(answers.sound), context.stream()
        stayed = np.zeros(len(answers), np.intp)
        size = min(self.coordinates, answers.dim)
        for _ in range(self.iterations if size < answers.dim else 1):
            drawn = np.zeros(answers.dim, dtype=bool)
            drawn[rng.choice(answers.dim, size, replace=False, shuffle=False)] = True
            gram = gram_of(_columns(answers, workers, drawn), workers.size)
            near = np.flatnonzero(gram.diagonal() < FAR)
            if near.size:
                _, strays = widest(gram[np.ix_(near, near)], np.ones(near.size))
                least = near[np.argsort(strays, kind="stable")]
                stayed[workers[least[: max(workers.size - self._gone(len(answers)), 1)]]] += 1
        kept = (stayed == stayed.max()) & (stayed > 0)
        return Verdict(answers.average(kept), kept)

    def _gone(self, workers: int) -> int:
        return ceil(self.remove * share(self.beta, workers) - 1e-9)


def _columns(answers: Answers, workers: Rows, drawn: NDArray[np.bool_]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    for where, block in answers.blocks(workers):
        yield where, block[:, drawn[where]]
