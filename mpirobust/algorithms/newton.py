from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import Algorithm, Query, Terrain
from mpirobust.components import Count, Field, component
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Vector

_FLAT = 1e-14  # of the greatest curvature met: what rounding makes of none


@dataclass(frozen=True)
class NewtonDescent:
    """The iterate and the rounds done."""

    x: Vector
    t: int


@component
class Newton(Algorithm[NewtonDescent]):
    """Distributed approximate Newton, COMRADE (Ghosh et al. 2020b): one exchange an iteration, `x - step mean p_i`.

    Worker i answers p_i with (∇²F_i + `damping` I) p_i ≈ ∇F_i, by conjugate gradients from zero: until the
    residual is at most `tolerance` times the gradient, or `products` Hessian products are spent. A direction
    whose curvature is not positive ends it with what there is, or the gradient if it is the first (Newton-CG,
    Nocedal & Wright 2006, Alg. 7.1; Steihaug's step to the edge needs a trust region). The paper's Hessians are
    positive definite; those of shards with fewer rows than parameters are singular, and `damping` bounds 1/λ.

    Attributes:
        step: factor of the mean step.
        products: most Hessian products of an answer.
        tolerance: residual at which conjugate gradients end, relative to the gradient.
        damping: added to the Hessian, times the identity: for singular shards.
    """

    step: Annotated[float, Field(gt=0)] = 1.0
    products: Count = 10
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-10
    damping: Annotated[float, Field(ge=0)] = 0.0

    @property
    def state(self) -> type[NewtonDescent]:
        return NewtonDescent

    def start(self, x0: Vector, terrain: Terrain) -> NewtonDescent:
        return NewtonDescent(x0, 0)

    def query(self, state: NewtonDescent) -> Query:
        return Query((state.x,), scale=self.step)

    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        (x,) = query.vectors
        hessian = loss.hessian(x, shard)
        return self._direction(loss.gradient(x, shard), lambda v: hessian(v) + self.damping * v)

    def advance(self, state: NewtonDescent, verdict: Verdict, rng: np.random.Generator) -> NewtonDescent:
        return NewtonDescent(state.x - verdict.step, state.t + 1)

    def finished(self, state: NewtonDescent) -> bool:
        return state.t >= self.rounds

    def _direction(self, g: Vector, product: Callable[[Vector], Vector]) -> Vector:
        p, residual, along = np.zeros_like(g), g, g
        size, steepest = float(g @ g), 0.0
        enough = self.tolerance**2 * size
        for done in range(self.products):
            if size <= enough:
                break
            Ha = product(along)
            curvature = float(along @ Ha)
            steepest = max(steepest, curvature / float(along @ along))
            if curvature <= _FLAT * steepest * float(along @ along):
                return p if done else g
            p = p + size / curvature * along
            residual = residual - size / curvature * Ha
            before, size = size, float(residual @ residual)
            along = residual + size / before * along
        return p
