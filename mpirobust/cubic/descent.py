from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from mpirobust.components import Count, Field, component
from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.errors import PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.problems.base import Loss
from mpirobust.types import Vector


@component
class Descent(CubicSolver):
    """Gradient descent on the model (Tripuraneni et al. 2018, Alg. 3), as in P2 §4.

    `step = "safe"`: the Cauchy point, which counts as one of the `iterations`, then steps of
    `1/(γL + Mγ²R)`, R the Cauchy radius and L a bound on ||H|| at every point: the norm at the point
    itself is too small on shards sorted by label. `step = "published"`: steps of `1/(20γL)` from zero,
    or the Cauchy point alone if the gradient is long. `perturbation` is the length of a
    random vector added to g; without it, g = 0 gives s = 0 even at a saddle.
    """

    iterations: Count = 10
    step: Literal["safe", "published"] = "safe"
    perturbation: Annotated[float, Field(ge=0)] = 0.0

    def admit(self, loss: Loss) -> None:
        if loss.curvature() is None:
            raise PlanFault("kind", 'descent needs a bound on the Hessian, and this problem has none; choose "lanczos"')

    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        assert model.bound is not None
        g = model.g
        if self.perturbation:
            noise = rng.standard_normal(g.size)
            g = g + self.perturbation / np.sqrt(noise @ noise) * noise
        length, bound, rho = q_norm(g, 2), model.gamma * model.bound(), model.rho
        if length == 0.0:
            return np.zeros_like(g)
        if self.step == "published" and length < bound * bound / rho:
            s, Hs = np.zeros_like(g), np.zeros_like(g)
            step, steps = 1 / (20 * bound), self.iterations
        else:
            s, Hs = _cauchy(g, length, model)
            step = 1 / (bound + rho * q_norm(s, 2))
            steps = self.iterations - 1 if self.step == "safe" else 0
        for at in range(steps):
            if at:
                Hs = model.hessian(s)
            s = s - step * (g + model.gamma * Hs + 0.5 * rho * q_norm(s, 2) * s)
        return s


def _cauchy(g: Vector, length: float, model: CubicModel) -> tuple[Vector, Vector]:
    """Return the minimiser along -g, and H times it; takes one product."""
    direction = -g / length
    product = model.hessian(direction)
    bend = model.gamma * float(direction @ product)
    if not np.isfinite(bend):
        return np.full_like(g, np.nan), product
    root = np.sqrt(bend * bend + 2 * model.rho * length)
    radius = 2 * length / (bend + root) if bend > 0 else (root - bend) / model.rho  # the same, without cancellation
    return radius * direction, radius * product
