from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from mpirobust.aggregators._geometry import geometric_median, measured
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Count, Field, component
from mpirobust.errors import PlanFault


@component
class MedianOfMeans(Weighing):
    """The geometric median of the means of `groups` groups of workers (Chen et al. 2017, Alg. 2).

    Groups are of workers with neighbouring numbers and of equal size, give or take one; the
    mean of a group is the weighted one of its sound messages, and a group without any is left
    out. A group counts with the mean weight of these, once if all weigh the same, however
    many they are. It holds while the groups with a Byzantine worker are a minority.

    Attributes:
        groups: groups of workers; more than twice as many as may be Byzantine.
        iterations: most Weiszfeld steps.
        tolerance: the move at which they end, relative to the distance of a mean.
    """

    groups: Count
    iterations: Count = 100
    tolerance: Annotated[float, Field(ge=0)] = 1e-6

    def admit(self, workers: int, byzantine: int) -> None:
        if self.groups > workers:
            raise PlanFault("groups", f"{self.groups} groups of {workers} workers; choose at most {workers}")
        if self.groups <= 2 * byzantine:
            reason = f"{byzantine} Byzantine workers may be in as many of the {self.groups} groups"
            raise PlanFault("groups", f"{reason}; choose {2 * byzantine + 1} to {workers}")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        weights, kept = np.zeros(len(answers)), np.zeros(len(answers), dtype=bool)
        if workers.size:
            members = workers * self.groups // len(answers) == np.arange(self.groups)[:, None]
            members = members[members.any(axis=1)]
            shares = members * answers.weights[workers]
            totals = shares.sum(axis=1)
            means = shares / totals[:, None]  # (groups, n): what each takes from each worker
            counts = totals / members.sum(axis=1)
            median = geometric_median(means @ gram @ means.T, self.iterations, self.tolerance, counts)
            weights[workers] = median @ means
            kept[workers] = True
        return Verdict(answers.combine(weights), kept)

    def tolerates(self) -> float | None:
        return None
