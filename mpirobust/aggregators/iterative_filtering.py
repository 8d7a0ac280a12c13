from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators._columns import relative
from mpirobust.aggregators._geometry import Weights, measured, widest
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import Field, component
from mpirobust.errors import PlanFault


@component
class IterativeFiltering(SetForBeta, Weighing):
    """Spectral filtering (Diakonikolas et al. 2017, Su & Xu 2018; the third rule of Yin et al. 2019), f = ⌈βm⌉.

    Weights c_i start at 1. Along the direction in which the weighted answers vary most, τ_i is the squared
    distance of answer i from their mean: c_i ← c_i (1 - τ_i/max τ), over and over; then the weighted mean. While
    what varies is mostly Byzantine, more of their weight goes than of the honest, so that they are gone once 2f
    has gone in all, and there it ends; the last turn takes no more than that. With `sigma`, the standard
    deviation of an honest answer along any direction in units of what the workers send, it ends before, as soon
    as Σ c_i τ_i <= 8 m sigma². Mean and direction are read off the m × m Gram matrix.
    With `weigh = "rows"`, c_i starts at the weight of the worker over the mean weight.

    Attributes:
        sigma: honest standard deviation along any direction, at which filtering ends early (default: never).
    """

    sigma: Annotated[float, Field(gt=0)] | None = None

    def admit(self, workers: int, byzantine: int) -> None:
        if 2 * share(self.beta, workers) >= workers:
            raise PlanFault("beta", f"{self.beta} of {workers} workers, rounded up and doubled, leaves no weight")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        weights, kept = np.zeros(len(answers)), np.zeros(len(answers), dtype=bool)
        if workers.size:
            enough = 0.0 if self.sigma is None else 8 * workers.size * (self.sigma * answers.scale) ** 2
            budget = min(2 * share(self.beta, len(answers)), workers.size - 1)
            left = _filtered(gram, relative(answers.weights[workers]), budget, enough)
            weights[workers] = left / left.sum()
            kept[workers] = left > 0
        return Verdict(answers.combine(weights), kept)


def _filtered(gram: NDArray[np.float64], c: NDArray[np.float64], budget: float, enough: float) -> Weights:
    """Return what is left of the weights c, shape (n,), when `budget` has gone or the answers vary by `enough`."""
    while budget > 0:
        spread, strays = widest(gram, c)
        if spread * c.sum() <= enough or not strays.max() > 0:
            break
        taken = c * (strays / strays.max())
        part = min(1.0, budget / taken.sum())
        c = c - part * taken
        budget = 0.0 if part < 1 else budget - taken.sum()
    return c
