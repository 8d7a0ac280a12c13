from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Annotated, ClassVar, Literal

import numpy as np

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import Algorithm, Order, Query, Terrain
from mpirobust.components import Count, Field, component
from mpirobust.errors import PlanFault
from mpirobust.feedback.base import Feedback
from mpirobust.problems.base import Loss
from mpirobust.shard import Shard
from mpirobust.types import Norm, Vector


@dataclass(frozen=True)
class Iterate:
    """The iterate, the number of rounds done, and the smoothness estimate (0 if the schedule needs none)."""

    x: Vector
    t: int
    smoothness: float


@dataclass(frozen=True)
class Anchored:
    """As `Iterate`, with the starting point `w0`, where the center of W is."""

    x: Vector
    t: int
    smoothness: float
    w0: Vector


@component
class FirstOrder(Algorithm[Iterate | Anchored]):
    """Robust compressed gradient descent, P1 Alg. 1 (P1 Alg. 2 with `feedback = "residual"`).

    The step size is γ_t = `step` (constant), `step`/√(t+1) (inverse-sqrt), or
    `step`/L (inverse-smoothness), L estimated at the starting point. W is the
    ball of `radius` around the origin or the starting point w_0 (`around`; P1 Ass. 3, 4 and 6
    have w_0), or all of R^d. `batch` rows are drawn anew each round without
    replacement (default: the whole shard).

    Attributes:
        step: step size γ; with inverse-smoothness in units of 1/L.
        schedule: γ_t: step, step/√(t+1), or step/L with L estimated at the start.
        option: I: sorted by norms that workers send; II: by the norms of the messages.
        q: the norm by which messages are compared: a number >= 1, or "inf".
        batch: rows drawn for each gradient (default: the whole shard).
        radius: radius of the ball W on which iterates are projected (default: no projection).
        around: center of W: zero, or the starting point.
    """

    added_keys: ClassVar = {"around": "origin"}

    step: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "inverse-sqrt", "inverse-smoothness"] = "constant"
    option: Literal["I", "II"] = "II"
    q: Order = 2
    batch: Count | None = None
    radius: Annotated[float, Field(gt=0)] | None = None
    around: Literal["origin", "start"] = "origin"

    def __post_init__(self) -> None:
        if self.around == "start" and self.radius is None:
            raise ValueError('around = "start" goes with radius')

    @property
    def state(self) -> type[Iterate | Anchored]:
        return Anchored if self.around == "start" else Iterate

    def norm(self) -> Norm:
        return Norm(float(self.q), claimed=self.option == "I")

    def asks_gradients(self, rows: int) -> bool:
        return self.batch is None or self.batch >= rows

    def admit(self, loss: Loss, feedback: Feedback) -> None:
        if self.option == "I" and not feedback.sends_answers():
            raise PlanFault("option", 'feedback sorts by the code (P1 Alg. 2 l. 7); choose "II"')

    def outside_p1(self, rows: int) -> list[str] | None:
        found = [
            (self.batch is not None and self.batch < rows, f"they use all rows of a worker, not {self.batch} a round"),
            (self.schedule == "inverse-sqrt", "they keep the step as it is"),
            (self.q != 2, f"their proofs measure with q = 2, not {self.q}"),
        ]
        return [reason for applies, reason in found if applies]

    def ball(self, x0: Vector) -> tuple[Vector, float] | None:
        if self.radius is None:
            return None
        return (x0 if self.around == "start" else np.zeros_like(x0)), self.radius

    def start(self, x0: Vector, terrain: Terrain) -> Iterate | Anchored:
        smoothness = terrain.smoothness(x0) if self.schedule == "inverse-smoothness" else 0.0
        if self.schedule == "inverse-smoothness" and not 0 < smoothness < inf:
            raise PlanFault("algorithm.schedule", f"the Hessian at the start has norm {smoothness}; use another")
        return Anchored(x0, 0, smoothness, x0) if self.around == "start" else Iterate(x0, 0, smoothness)

    def query(self, state: Iterate | Anchored) -> Query:
        return Query((state.x,), scale=self._step(state))

    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        (x,) = query.vectors
        if self.batch is not None and self.batch < shard.rows:
            shard = shard.take(np.sort(rng.choice(shard.rows, self.batch, replace=False)))
        return loss.gradient(x, shard)

    def advance(self, state: Iterate | Anchored, verdict: Verdict, rng: np.random.Generator) -> Iterate | Anchored:
        x = state.x - verdict.step
        inside = state.w0 + self._project(x - state.w0) if isinstance(state, Anchored) else self._project(x)
        return replace(state, x=inside, t=state.t + 1)

    def finished(self, state: Iterate | Anchored) -> bool:
        return state.t >= self.rounds

    def _step(self, state: Iterate | Anchored) -> float:
        if self.schedule == "inverse-sqrt":
            return self.step / sqrt(state.t + 1)
        return self.step / state.smoothness if self.schedule == "inverse-smoothness" else self.step

    def _project(self, x: Vector) -> Vector:
        """Return Π_W (P1 Alg. 1 l. 6), x relative to the center of W."""
        if self.radius is None or np.sqrt(x @ x) <= self.radius:
            return x
        direction: Vector = x / np.abs(x).max()  # x @ x may have overflowed
        projected: Vector = direction * (self.radius / np.sqrt(direction @ direction))
        return projected
