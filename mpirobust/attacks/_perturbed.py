"""The honest mean and a perturbation that leaves it among the honest answers (Shejwalkar, Houmansadr 2021)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import component
from mpirobust.types import Vector


@component
class Perturbed(Tunable):
    """All send the honest mean plus γ times a direction; γ is the largest that the kind allows, before the code.

    Attributes:
        direction: p: minus the mean at length 1, minus the deviation, or minus the signs of the mean.
        gamma: γ (default: the largest that the kind allows).
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    direction: Literal["unit", "std", "sign"] = "std"
    gamma: float | None = None
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        known = spy.known(self.knowledge)
        return spy.encode(worker, known.moments[0] + self.strength_in(spy) * known.once(self.towards), rng)

    def strength_in(self, spy: Spy) -> float:
        return spy.known(self.knowledge).once(self.largest) if self.gamma is None else self.gamma

    def with_strength(self, strength: float) -> Perturbed:
        return replace(self, gamma=strength)

    def towards(self, spy: Spy) -> Vector:
        """Return the direction: minus the mean at length 1, minus the deviation, or minus the signs of the mean."""
        mean, deviation = spy.moments
        length = np.sqrt(mean @ mean)
        unit = mean / length if 0 < length < np.inf else np.zeros_like(mean)
        return -{"unit": unit, "std": deviation, "sign": np.sign(mean)}[self.direction]

    def largest(self, spy: Spy) -> float:
        """Return the largest γ >= 0 that is allowed; 0 if there is none, as where numbers overflow."""
        workers, (mean, _), p = spy.sound, spy.moments, spy.once(self.towards)
        gram = spy.answers.gram(workers)
        squares = np.diag(gram)
        between = squares[:, None] + squares - 2 * gram
        slopes, to_mean = np.zeros(workers.size), np.zeros(workers.size)
        for where, block in spy.answers.blocks(workers):
            offsets = mean[where] - block
            slopes += offsets @ p[where]
            to_mean += np.einsum("ij,ij->i", offsets, offsets)
        gamma = self.root(float(p @ p), slopes, to_mean, between) if workers.size and p.any() else 0.0
        return gamma if 0 <= gamma < np.inf else 0.0

    @abstractmethod
    def root(
        self, a: float, slopes: NDArray[np.float64], to_mean: NDArray[np.float64], between: NDArray[np.float64]
    ) -> float:
        """Return the largest allowed γ, with ||mean + γ p - x_i||² = a γ² + 2 slopes[i] γ + to_mean[i].

        Args:
            between: ||x_i - x_j||², shape (n, n).
        """


def positive_root(a: float, b: float, c: float) -> float:
    """Return the root γ >= 0 of a γ² + 2 b γ - c, c >= 0; without cancellation, so that it is exact to rounding."""
    root = np.sqrt(b * b + a * max(c, 0.0))
    return float((root - b) / a if b <= 0 else max(c, 0.0) / (b + root))
