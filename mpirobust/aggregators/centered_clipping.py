from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from mpirobust.aggregators._geometry import distances_to, geometric_median, measured
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Count, Field, component
from mpirobust.types import Vector


@dataclass(frozen=True)
class Center:
    """The last aggregate, in units of the answer."""

    v: Vector


@component
class CenteredClipping(Weighing):
    """`v ← v + mean_i (v_i - v) min(1, radius / ||v_i - v||)`, over and over (Karimireddy et al. 2021, §4).

    `radius` is in units of what the workers send. The paper starts from the last aggregate, `start = "previous"` (the
    first round from the geometric median). By default every round starts from the geometric median. The steps descend
    on a convex function, so every start ends in the same point, but zero is as far from it as the
    answers are long, and the coordinate-wise median of one-bit messages little better, while
    the geometric median is the end itself for a radius below the honest spread. (A radius
    above it goes from there to the mean.)

    Attributes:
        radius: how far from the center a message may pull, in units of a message: about the honest spread.
        iterations: steps of the iteration in a round.
        start: where the iteration begins: the geometric median, or the last aggregate.
    """

    added_keys: ClassVar = {"start": "geometric-median"}

    radius: Annotated[float, Field(gt=0)]
    iterations: Count = 10
    start: Literal["geometric-median", "previous"] = "geometric-median"

    def judge(self, answers: Answers, memory: Center | None, context: Context) -> Verdict:
        previous = None if memory is None else answers.scale * memory.v
        workers, gram = measured(answers, previous)
        n = workers.size
        weights, kept = np.zeros(len(answers)), np.zeros(len(answers), dtype=bool)
        if not n:
            return Verdict(answers.combine(weights), kept, memory)
        radius, counts = self.radius * answers.scale, answers.weights[workers]
        point = geometric_median(gram, 100, 1e-6, counts) if previous is None else np.eye(n + 1)[n]
        for _ in range(self.iterations):
            pull = radius / np.maximum(distances_to(gram, point)[:n], radius) * counts / counts.sum()
            point = (1 - pull.sum()) * point
            point[:n] += pull
        weights[workers] = point[:n]
        kept[workers] = True
        step = answers.combine(weights)
        if previous is not None:
            step = step + point[n] * previous
        return Verdict(step, kept, Center(step / answers.scale) if self.start == "previous" else None)

    def tolerates(self) -> float | None:
        return 0.5

    def memory(self) -> type | None:
        return Center if self.start == "previous" else None
