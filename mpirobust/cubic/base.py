"""The contract of a solver of P2 (1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mpirobust.numerics.norms import q_norm
from mpirobust.problems.base import Loss
from mpirobust.types import Vector


@dataclass(frozen=True)
class CubicModel:
    """`m(s) = gᵀs + γ/2 sᵀHs + M γ²/6 ||s||³` (P2 (1)).

    Attributes:
        g: shape (d,), float64, finite, and so is its norm.
        hessian: `v -> Hv`.
        M, gamma: positive.
        bound: worked out when it is asked for: no less than ||H||, wherever H is taken; None where there is no bound.
    """

    g: Vector
    hessian: Callable[[Vector], Vector]
    M: float
    gamma: float
    bound: Callable[[], float] | None = None

    @property
    def rho(self) -> float:
        """`M γ²`: the cubic term is `ρ/6 ||s||³`."""
        return self.M * self.gamma**2

    def value(self, s: Vector) -> float:
        """Return `m(s)`; takes one product."""
        return float(self.g @ s + 0.5 * self.gamma * (s @ self.hessian(s)) + self.rho / 6 * q_norm(s, 2) ** 3)

    def slope(self, s: Vector) -> Vector:
        """Return `∇m(s)`, zero at the minimiser (P2 (11)); takes one product."""
        slope: Vector = self.g + self.gamma * self.hessian(s) + 0.5 * self.rho * q_norm(s, 2) * s
        return slope


class CubicSolver(ABC):
    """Minimises a cubic model, exactly or nearly, by Hessian products."""

    def admit(self, loss: Loss) -> None:
        """Raise `PlanFault` with the field that does not fit the loss."""
        return

    def exact(self) -> bool:
        """Return whether `solve` returns a global minimiser, as P2's proof assumes."""
        return False

    @abstractmethod
    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        """Return `s` with `m(s) <= 0` (unless it perturbs g), shape (d,), float64, a new array.

        It is not finite if a product is not.
        """
