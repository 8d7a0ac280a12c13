from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from math import isfinite
from typing import Annotated

import numpy as np

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms._arc import adapted
from mpirobust.algorithms.base import Algorithm, Cubic, Order, Query, Terrain
from mpirobust.components import MOST, Count, Field, component
from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.cubic.lanczos import Lanczos
from mpirobust.errors import PlanFault
from mpirobust.feedback.base import Feedback
from mpirobust.numerics.norms import q_norm
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Norm, Vector


class Asked(IntEnum):
    """The question of a round."""

    STEP = 0
    GRADIENT = 1


@dataclass(frozen=True)
class Iteration:
    """The state of the method.

    Attributes:
        x: the iterate.
        y: where the last step ended, before momentum went on from there to x.
        t: rounds of communication done.
        g: the global gradient at x, known between the two rounds of an iteration; else empty.
    """

    x: Vector
    y: Vector
    t: int
    g: Vector


@component
class CubicNewton(Algorithm[Iteration]):
    """Byzantine-robust distributed cubic-regularised Newton, P2 Alg. 1.

    Each worker minimises `gᵀs + γ/2 sᵀHs + M γ²/6 ||s||³` (P2 (1)); the center adds η times the mean
    of the kept answers. `rounds` counts rounds of communication: with `two_rounds` (P2 Remark 10) an
    iteration takes two, first the gradients, which are compressed and trimmed as well, then the steps for
    the gradient that came of them. Only η/γ matters to the iterates: s is 1/γ times the minimiser for
    γ = 1, so that η = γ = c/T (P2 Thm 4) is η = γ = 1. `gradient_batch` and `hessian_batch` rows are
    drawn anew for each answer without replacement (Kohler, Lucchi 2017; default: the whole shard).
    `momentum` is ρ of Wang et al. (2020): a step from x_k to y_k+1 goes on by min(ρ, ||y_k+1 - x_k||) times
    y_k+1 - y_k. Their bound by the gradient norm and their choice of the better of two points are left
    out: the center knows neither the gradient at y_k+1 nor function values.
    `adaptive` is how many other M than the plan's a worker may try in an answer, by the test of ARC (Cartis, Gould,
    Toint 2011) on the rows of its gradient: nothing more is sent. Each solve then takes a further product, so that an
    answer takes at most (1 + adaptive)(products + 1) in place of products. For a global g, the test is for
    `F_i(x + u) + (g - ∇F_i(x))ᵀu` on the whole shard, whose gradient at x is g.

    Attributes:
        M: the weight of the cubic term: larger means shorter steps.
        gamma: γ of the model; only η/γ matters to the iterates.
        eta: η, the factor of the mean step.
        solver: what minimises the cubic model of a worker.
        two_rounds: whether an iteration takes two rounds: gradients first, then steps for the global gradient.
        gradient_batch: rows drawn for the gradient of each answer (default: the whole shard).
        hessian_batch: rows drawn for the Hessian of each answer (default: the whole shard).
        momentum: ρ: how far the iterate goes on beyond a step, at most.
        adaptive: how many values of M other than the plan's a worker may try in an answer.
        q: the norm by which messages are compared: a number >= 1, or "inf".
    """

    M: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(gt=0)] = 1.0
    eta: Annotated[float, Field(gt=0)] = 1.0
    solver: CubicSolver = Field(default_factory=Lanczos)
    two_rounds: bool = False
    gradient_batch: Count | None = None
    hessian_batch: Count | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    adaptive: Annotated[int, Field(ge=0, le=MOST)] = 0
    q: Order = 2

    def __post_init__(self) -> None:
        if self.two_rounds and self.rounds % 2:
            raise ValueError(f"an iteration takes two rounds with two_rounds; rounds = {self.rounds} is odd")

    @property
    def state(self) -> type[Iteration]:
        return Iteration

    def norm(self) -> Norm:
        return Norm(float(self.q))

    def admit(self, loss: Loss, feedback: Feedback) -> None:
        if self.two_rounds and feedback.memories():
            raise PlanFault("two_rounds", "the memory of the feedback would carry over between gradients and steps")
        try:
            self.solver.admit(loss)
        except PlanFault as fault:
            raise PlanFault(f"solver.{fault.where}", fault.reason) from fault

    def vectors_down(self) -> int:
        return 2 if self.two_rounds else 1  # the point, and in every second round the gradient

    def cubic(self, rows: int) -> Cubic:
        drawn = [batch for batch in (self.gradient_batch, self.hessian_batch) if batch is not None and batch < rows]
        found = [
            (not self.solver.exact(), "it solves (1) exactly"),
            (self.momentum > 0, "it has no momentum"),
            (self.adaptive > 0, "all workers have one M"),
            (bool(drawn), "its ε_g and ε_H are of the batches, and those below of whole shards"),
            (self.two_rounds, "it asks in one round (Remark 10 is of honest workers)"),
            (self.q != 2, f"its proof measures with q = 2, not {self.q}"),
        ]
        return Cubic(
            self.M, self.gamma, self.eta, tuple(reason for applies, reason in found if applies), self._step_query
        )

    def start(self, x0: Vector, terrain: Terrain) -> Iteration:
        return Iteration(x0, x0, 0, np.empty(0))

    def query(self, state: Iteration) -> Query:
        if self.two_rounds and not state.g.size:
            return Query((state.x,), kind=Asked.GRADIENT)
        return self._step_query(state.x, state.g)

    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        x, *known = query.vectors
        rows = shard if known else _drawn(shard, self.gradient_batch, rng)
        g = known[0].copy() if known else loss.gradient(x, rows)
        if query.kind == Asked.GRADIENT or not isfinite(q_norm(g, 2)):
            return g  # a gradient that has overflowed makes an unsound message
        some = _drawn(shard, self.hessian_batch, rng)
        curvature = loss.curvature()
        model = CubicModel(
            g.astype(np.float64, copy=False),
            loss.hessian(x, some),
            self.M,
            self.gamma,
            None if curvature is None else lambda: curvature(shard) * shard.rows / some.rows,
        )
        if not self.adaptive:
            return self.solver.solve(model, rng)
        here = loss.value(x, rows)
        tilt = model.g - loss.gradient(x, shard) if known else np.zeros_like(model.g)
        return adapted(
            self.solver,
            model,
            lambda u: loss.value(x + u, rows) - here + float(tilt @ u),
            abs(here),
            self.adaptive,
            rng,
        )

    def trial(self, query: Query, step: Vector) -> Vector | None:
        return None if query.kind == Asked.GRADIENT else query.vectors[0] + step

    def advance(self, state: Iteration, verdict: Verdict, rng: np.random.Generator) -> Iteration:
        if self.query(state).kind == Asked.GRADIENT:
            return replace(state, t=state.t + 1, g=verdict.step if verdict.kept.any() else state.g)
        y = state.x + verdict.step
        beta = min(self.momentum, q_norm(verdict.step, 2))
        return Iteration(y + beta * (y - state.y), y, state.t + 1, np.empty(0))

    def finished(self, state: Iteration) -> bool:
        return state.t >= self.rounds

    def _step_query(self, x: Vector, g: Vector) -> Query:
        return Query((x, g) if self.two_rounds else (x,), scale=self.eta)


def _drawn(shard: Shard, batch: int | None, rng: np.random.Generator) -> Shard:
    if batch is None or batch >= shard.rows:
        return shard
    return shard.take(np.sort(rng.choice(shard.rows, batch, replace=False)))
