"""The rules by which a run has converged."""

from __future__ import annotations

from typing import Annotated, ClassVar

from mpirobust.components import Field, component


@component
class StopRules:
    """The run has converged when an audit is at or below one of these; `curvature` adds a condition to the first.

    Attributes:
        gradient_norm: the run has converged when an audited gradient norm is at or below this.
        loss: the run has converged when an audited loss is at or below this.
        curvature: with gradient_norm: the smallest eigenvalue of the Hessian must be at least minus this as well.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"gradient_norm", "loss", "curvature"})

    gradient_norm: Annotated[float, Field(gt=0)] | None = None
    loss: float | None = None
    curvature: Annotated[float, Field(ge=0)] | None = None

    def __post_init__(self) -> None:
        if self.curvature is not None and self.gradient_norm is None:
            raise ValueError("curvature goes with gradient_norm: both have to be met")

    def met(self, loss: float, gradient_norm: float, lambda_min: float) -> bool:
        """Return whether an audit with these values ends the run. `lambda_min` is read only if `needs_curvature`."""
        stationary = self.gradient_norm is not None and gradient_norm <= self.gradient_norm
        if self.curvature is not None:
            stationary = stationary and lambda_min >= -self.curvature
        return bool(stationary or (self.loss is not None and loss <= self.loss))

    def needs_curvature(self, gradient_norm: float) -> bool:
        """Return whether λ_min decides if an audit with this gradient norm ends the run."""
        return self.curvature is not None and self.gradient_norm is not None and gradient_norm <= self.gradient_norm
