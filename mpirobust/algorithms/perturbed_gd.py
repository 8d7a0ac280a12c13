from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms._ball import uniform_in_ball
from mpirobust.algorithms.base import Algorithm, Query, Terrain
from mpirobust.components import MOST, Field, component
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@dataclass(frozen=True)
class PerturbedDescent:
    """The iterate, the rounds done, the round of the last perturbation, and whether the round just done followed one.

    `escaping` is true for the `wait` rounds behind a perturbation.
    """

    x: Vector
    t: int
    perturbed: int
    escaping: bool


@component
class PerturbedGD(Algorithm[PerturbedDescent]):
    """Perturbed gradient descent (Jin et al. 2017, Alg. 1) on robust gradients.

    A gradient no longer than `threshold`, more than `wait` rounds (t_thres) after the last perturbation, moves
    the iterate to a uniform point of the ball of `radius` around it, in place of a step; else it is a step of
    `step`. The paper's Alg. 2 also returns the point before the perturbation if f has not decreased enough
    after `wait` steps. The center has no values of f, only gradients, so this one does all its `rounds`.

    Attributes:
        step: step size η.
        threshold: a robust gradient no longer than this may be followed by a perturbation.
        radius: radius of the ball from which a perturbation is drawn.
        wait: least rounds between perturbations (t_thres).
    """

    step: Annotated[float, Field(gt=0)]
    threshold: Annotated[float, Field(ge=0)]
    radius: Annotated[float, Field(gt=0)]
    wait: Annotated[int, Field(ge=0, le=MOST)]

    @property
    def state(self) -> type[PerturbedDescent]:
        return PerturbedDescent

    def asks_gradients(self, rows: int) -> bool:
        return True

    def steps_every_round(self) -> bool:
        return False

    def start(self, x0: Vector, terrain: Terrain) -> PerturbedDescent:
        return PerturbedDescent(x0, 0, -self.wait - 1, escaping=False)

    def query(self, state: PerturbedDescent) -> Query:
        return Query((state.x,), scale=self.step)

    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        (x,) = query.vectors
        return loss.gradient(x, shard)

    def advance(self, state: PerturbedDescent, verdict: Verdict, rng: np.random.Generator) -> PerturbedDescent:
        waiting = state.t - state.perturbed <= self.wait
        small = verdict.kept.any() and np.sqrt(verdict.step @ verdict.step) <= self.threshold * self.step
        if small and not waiting:
            x = state.x + uniform_in_ball(state.x.size, self.radius, rng)
            return PerturbedDescent(x, state.t + 1, state.t, escaping=False)
        return PerturbedDescent(state.x - verdict.step, state.t + 1, state.perturbed, escaping=waiting)

    def finished(self, state: PerturbedDescent) -> bool:
        return state.t >= self.rounds
