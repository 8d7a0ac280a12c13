from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms._ball import uniform_in_ball
from mpirobust.algorithms.base import Algorithm, Query, Terrain
from mpirobust.components import Count, Field, component
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector


@dataclass(frozen=True)
class Search:
    """The state of the search for a second-order stationary point.

    Attributes:
        x: the iterate w̃; during an escape the point that is to be left.
        probe: the point at which the gradient is asked: w'_t in an escape, else x.
        origin: w'_0, where the current try began.
        t: rounds done.
        tries: tries of this escape, the current one included; 0 while descending.
        steps: steps of the current try.
        escaping: whether the round just done was part of an escape.
        settled: whether an escape has ended without a way out.
    """

    x: Vector
    probe: Vector
    origin: Vector
    t: int
    tries: int
    steps: int
    escaping: bool
    settled: bool


@component
class ByzantinePGD(Algorithm[Search]):
    """Byzantine perturbed gradient descent (Yin et al. 2019), the baseline of P2 §4, with its R, r, Q and T_th.

    Descends by `step` while the robust gradient is longer than `threshold`. Then Escape: each of up
    to Q tries starts at a uniform point of the ball of radius r around the iterate and does up to
    T_th gradient steps; at a distance above R from its start it has escaped, and descent goes on
    from there. If no try escapes, after Q T_th rounds, the iterate is taken as second-order
    stationary and the run has finished; `rounds` is the upper bound. All of this is the center's:
    the workers answer gradients and never know. A round in which nobody is kept says nothing of
    the gradient: it does not begin an escape.

    Attributes:
        step: step size γ.
        threshold: ε: a robust gradient no longer than this begins an escape.
        R: distance from its start at which a try has escaped.
        r: radius of the ball in which a try starts.
        Q: most tries of an escape.
        T_th: most gradient steps of a try.
    """

    step: Annotated[float, Field(gt=0)]
    threshold: Annotated[float, Field(ge=0)]
    R: Annotated[float, Field(gt=0)] = 10.0
    r: Annotated[float, Field(gt=0)] = 5.0
    Q: Count = 10
    T_th: Count = 10

    @property
    def state(self) -> type[Search]:
        return Search

    def asks_gradients(self, rows: int) -> bool:
        return True

    def steps_every_round(self) -> bool:
        return False

    def start(self, x0: Vector, terrain: Terrain) -> Search:
        return Search(x0, x0, x0, t=0, tries=0, steps=0, escaping=False, settled=False)

    def query(self, state: Search) -> Query:
        return Query((state.probe,), scale=self.step)

    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        (x,) = query.vectors
        return loss.gradient(x, shard)

    def advance(self, state: Search, verdict: Verdict, rng: np.random.Generator) -> Search:
        state = replace(state, t=state.t + 1, escaping=state.tries > 0)
        return self._explore(state, verdict, rng) if state.escaping else self._descend(state, verdict, rng)

    def finished(self, state: Search) -> bool:
        return state.settled or state.t >= self.rounds

    def _descend(self, state: Search, verdict: Verdict, rng: np.random.Generator) -> Search:
        if not verdict.kept.any():
            return state
        if np.sqrt(verdict.step @ verdict.step) <= self.threshold * self.step:
            return self._try(state, rng)
        return _moved(state, state.x - verdict.step)

    def _explore(self, state: Search, verdict: Verdict, rng: np.random.Generator) -> Search:
        state = replace(state, probe=state.probe - verdict.step, steps=state.steps + 1)
        away = state.probe - state.origin
        if np.sqrt(away @ away) > self.R:
            return _moved(state, state.probe)
        if state.steps < self.T_th:
            return state
        if state.tries < self.Q:
            return self._try(state, rng)
        return replace(_moved(state, state.x), settled=True)

    def _try(self, state: Search, rng: np.random.Generator) -> Search:
        begun = state.x + uniform_in_ball(state.x.size, self.r, rng)
        return replace(state, probe=begun, origin=begun, tries=state.tries + 1, steps=0)


def _moved(state: Search, x: Vector) -> Search:
    """Descending, from `x`."""
    return replace(state, x=x, probe=x, origin=x, tries=0, steps=0)
