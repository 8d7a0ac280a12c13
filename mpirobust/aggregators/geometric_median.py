from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from mpirobust.aggregators._geometry import geometric_median, measured
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Count, Field, component


@component
class GeometricMedian(Weighing):
    """`argmin_v Σ w_i ||v - v_i||` over the sound messages (Chen et al. 2017), by smoothed Weiszfeld steps.

    It lies in the convex hull, so its weights are found on the m × m Gram matrix and the
    messages decoded once more for the step. The iteration ends when the median moves by less
    than `tolerance` times the typical distance of a message.

    Attributes:
        iterations: most Weiszfeld steps.
        tolerance: the move at which they end, relative to the distance of a message.
    """

    iterations: Count = 100
    tolerance: Annotated[float, Field(ge=0)] = 1e-6

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        weights, kept = np.zeros(len(answers)), np.zeros(len(answers), dtype=bool)
        if workers.size:
            weights[workers] = geometric_median(gram, self.iterations, self.tolerance, answers.weights[workers])
            kept[workers] = True
        return Verdict(answers.combine(weights), kept)

    def tolerates(self) -> float | None:
        return 0.5

    def kappa(self, workers: int, byzantine: int) -> float | None:
        honest = workers - byzantine
        return 4 * (honest / (honest - byzantine)) ** 2 if byzantine < honest else None
