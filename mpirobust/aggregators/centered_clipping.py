from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mpirobust.aggregators._geometry import distances_to, geometric_median, measured
from mpirobust.aggregators.base import Aggregator, Verdict
from mpirobust.answers import Answers
from mpirobust.component import component


@component
class CenteredClipping(Aggregator):
    """`v ← v + mean_i (v_i - v) min(1, radius / ||v_i - v||)`, over and over (Karimireddy et al. 2021, §4).

    `radius` is in units of what the workers send. The paper starts from the last aggregate;
    rules here remember nothing and start from the geometric median. The steps descend on a
    convex function, so every start ends in the same point, but zero is as far from it as the
    answers are long, and the coordinate-wise median of one-bit messages little better, while
    the geometric median is the end itself for a radius below the honest spread. (A radius
    above it goes from there to the mean.)
    """

    radius: Annotated[float, Field(gt=0)]
    iterations: Annotated[int, Field(gt=0)] = 10

    def admit(self, workers: int, byzantine: int) -> None:
        pass

    def judge(self, inbox: Answers) -> Verdict:
        workers, gram = measured(inbox)
        weights, kept = np.zeros(len(inbox)), np.zeros(len(inbox), dtype=bool)
        if workers.size:
            radius = self.radius * inbox.scale
            point = geometric_median(gram, 100, 1e-6)
            for _ in range(self.iterations):
                pull = radius / np.maximum(distances_to(gram, point), radius) / workers.size
                point = (1 - pull.sum()) * point + pull
            weights[workers] = point
            kept[workers] = True
        return Verdict(inbox.combine(weights), kept)

    def tolerates(self) -> float | None:
        return 0.5
