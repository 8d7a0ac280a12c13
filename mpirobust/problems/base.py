"""The contract of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import newest
from mpirobust.shard import Shard
from mpirobust.types import Layout, Vector, flat


@dataclass(frozen=True)
class Bounds:
    """Bounds on a loss that hold at every x (P2 Ass. 1, 2); None for a bound that is not known.

    Attributes:
        value: no more than `F_i(x)`, whatever the shard.
        slope: `shard -> L` with `||∇F_i(x)|| <= L`.
        twist: `shard -> L2` with `||∇²F_i(x) - ∇²F_i(y)|| <= L2 ||x - y||`.
    """

    value: float | None = None
    slope: Callable[[Shard], float] | None = None
    twist: Callable[[Shard], float] | None = None


class Loss(ABC):
    """A differentiable loss over the rows of one shard. Pure: nothing is kept between calls.

    `F_i(x) = (1/n_i) Σ_j f(x, z_j)` over the `n_i` rows of shard i, plus a
    regulariser if the loss has one; the objective of a run is the mean of
    `F_i` over the workers (P2 §1.2), weighted by n_i if the plan says so.
    """

    def __init_subclass__(cls, **others: Any) -> None:
        """A loss that changes `value` or `gradient` of another does not inherit what computes both."""
        super().__init_subclass__(**others)
        if newest(cls, "value_and_gradient", "value", "gradient") != "value_and_gradient":
            type.__setattr__(cls, "value_and_gradient", Loss.value_and_gradient)

    @abstractmethod
    def dim(self, features: int) -> int:
        """Return the number of parameters for rows of `features` numbers."""

    def layout(self, features: int) -> Layout:
        """Return the parts of the parameter vector, for compressors that work part by part; by default one part."""
        return flat(self.dim(features))

    @staticmethod
    def as_state_dict(parts: Mapping[str, Vector]) -> dict[str, Vector]:
        """Return the parts of the layout, by name, as the state_dict of a PyTorch module has them.

        By default as they are; a problem that is a module of `torch.nn` has its names and shapes.
        """
        return {**parts}

    @abstractmethod
    def start(self, features: int, rng: np.random.Generator) -> Vector:
        """Return the default starting point, shape (dim,)."""

    def admit(self, classes: int) -> None:
        """Raise `PlanFault` if data with that many classes (0: real targets) do not fit."""
        return

    def admit_rows(self, features: int, classes: int) -> None:
        """Raise `PlanFault` if rows of so many numbers do not fit; called after `admit`."""
        return

    @abstractmethod
    def value(self, x: Vector, shard: Shard) -> float:
        """Return `F_i(x)`."""

    @abstractmethod
    def gradient(self, x: Vector, shard: Shard) -> Vector:
        """Return `∇F_i(x)`, shape (dim,), a new array."""

    def value_and_gradient(self, x: Vector, shard: Shard) -> tuple[float, Vector]:
        """Return `value` and `gradient`, the same bits; a loss overrides it if the two share work."""
        return self.value(x, shard), self.gradient(x, shard)

    @abstractmethod
    def hessian(self, x: Vector, shard: Shard) -> Callable[[Vector], Vector]:
        """Return `v -> ∇²F_i(x) v`; what depends on x alone is computed once."""

    def curvature(self) -> Callable[[Shard], float] | None:
        """Return `shard -> L` with `||∇²F_i(x)|| <= L` at every x, cheap when repeated; None if no bound is known."""
        return None

    def bounds(self) -> Bounds:
        """Return the other bounds, for the checks of the papers' assumptions; by default none is known."""
        return Bounds()

    def metrics(self, x: Vector, shard: Shard) -> Mapping[str, float]:
        """Return sums over the rows, so that shards add up: `correct` and `rows`, or nothing."""
        return {}

    def class_scores(self, x: Vector, shard: Shard) -> NDArray[np.floating[Any]] | None:
        """Return a score for every row and class, shape (n, classes); the largest is the guess, the first of equals.

        None if the problem has no classes.
        """
        return None

    def solutions(self, w: Vector) -> Sequence[Vector]:
        """Return what minimises the loss on rows with targets `y = Xw` (and no regulariser), each of shape (dim,).

        The audited distance is that to the nearest. Nothing if `w` says nothing of the minimum.
        """
        return ()
