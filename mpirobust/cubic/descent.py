from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from mpirobust.components import Count, Field, component
from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Vector


@component
class Descent(CubicSolver):
    """Gradient descent on the model (Tripuraneni et al. 2018, Alg. 3), as in P2 §4.

    `step = "safe"`: the Cauchy point, which counts as one of the `iterations`, then steps of
    `1/(γL + Mγ²R)`, R the Cauchy radius and L a bound on ||H|| at every point: the norm at the point
    itself is too small on shards sorted by label. `step = "published"`: steps of `1/(20γL)` from zero,
    or the Cauchy point alone if the gradient is long. `perturbation` is the length of a
    random vector added to g; without it, g = 0 gives s = 0 even at a saddle.

    If no bound at every point is known, each step along a slope v = ∇m(s) is found by backtracking: it is halved until
    the model is sure to fall by a quarter of step ||v||². `safe` begins at `1/(γ max(0, vᵀHv/||v||²) + Mγ²||s||)`,
    `published` with L = ||Hg||/||g||. Hv tells the model along v, so that backtracking takes no products.

    Attributes:
        iterations: gradient steps on the model.
        step: safe: from a bound on the Hessian; published: Tripuraneni et al.'s.
        perturbation: length of a random vector that is added to the gradient, so that saddles are left.
    """

    iterations: Count = 10
    step: Literal["safe", "published"] = "safe"
    perturbation: Annotated[float, Field(ge=0)] = 0.0

    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        g = model.g
        if self.perturbation:
            noise = rng.standard_normal(g.size)
            g = g + self.perturbation / np.sqrt(noise @ noise) * noise
        length, rho = q_norm(g, 2), model.rho
        if length == 0.0:
            return np.zeros_like(g)
        if model.bound is None:
            return self._searched(g, length, model)
        bound = model.gamma * model.bound()
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

    def _searched(self, g: Vector, length: float, model: CubicModel) -> Vector:
        """Return the solution where no bound on ||H|| is known."""
        s, Hs = _cauchy(g, length, model)
        steps, bound = self.iterations - 1, model.gamma * q_norm(Hs, 2) / q_norm(s, 2)
        if self.step == "published":
            from_zero = length < bound * bound / model.rho
            steps = self.iterations if from_zero else 0
            s, Hs = (np.zeros_like(g), np.zeros_like(g)) if from_zero else (s, Hs)
        for _ in range(steps):
            radius = q_norm(s, 2)
            slope = g + model.gamma * Hs + 0.5 * model.rho * radius * s
            square = float(slope @ slope)
            if square == 0.0:
                break
            product = model.hessian(slope)
            bend = model.gamma * float(slope @ product) / square
            if not np.isfinite(bend):
                return np.full_like(g, np.nan)
            step = 1 / (20 * bound if self.step == "published" else max(0.0, bend) + model.rho * radius)
            # m falls by step ||slope||² (1 - half of this); the second term bounds the cubic one on the way.
            while step * (bend + model.rho / 3 * (2 * radius + q_norm(s - step * slope, 2))) > 1.5:
                step /= 2
            s, Hs = s - step * slope, Hs - step * product
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
