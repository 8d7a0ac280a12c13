from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, radians, sin
from typing import Annotated, Any

import numpy as np

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import Field, component
from mpirobust.types import Message, Vector


@dataclass(frozen=True)
class Aggregated:
    """The aggregate of the round before, in units of the answer."""

    aggregate: Vector


@component
class Rop(Tunable):
    """Relocated orthogonal perturbation (Özfatura et al. 2024): all send a point near the center's last aggregate.

    The place is `place` times the last aggregate plus the rest of the honest mean; the reference direction is made
    in the same way with `reference`. From the place they go `z` times the honest spread (the root of the mean
    squared distance to the honest mean) at `angle` degrees to the reference, in the plane of the vector of ones.
    Clipping around the last aggregate (`centered-clipping` with `start = "previous"`) neither shortens nor turns
    this. In the first round the mean stands for the aggregate. The paper's z is in units of its clipping radius.
    The strength is z.

    Attributes:
        z: how far they go from the place, in units of the honest spread.
        angle: angle to the reference, in degrees.
        reference: weight of the last aggregate in the reference direction.
        place: weight of the last aggregate in the place.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    z: float = 1.0
    angle: Annotated[float, Field(ge=0, le=180)] = 90.0
    reference: Annotated[float, Field(ge=0, le=1)] = 0.9
    place: Annotated[float, Field(ge=0, le=1)] = 1.0
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, deviation = spy.known(self.knowledge).moments
        last = mean if spy.memory is None else spy.memory.aggregate
        reference = _unit(self.reference * last + (1 - self.reference) * mean)
        ones = np.ones_like(mean)
        aside = _unit(ones - (ones @ reference) * reference)
        turned = sin(radians(self.angle)) * aside + cos(radians(self.angle)) * reference
        spread = np.sqrt(deviation @ deviation)
        return spy.encode(worker, self.place * last + (1 - self.place) * mean + self.z * spread * turned, rng)

    def memory(self) -> type | None:
        return Aggregated

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        return Aggregated(spy.aggregate(sent))

    def strength_in(self, spy: Spy) -> float:
        return self.z

    def with_strength(self, strength: float) -> Rop:
        return replace(self, z=strength)


def _unit(v: Vector) -> Vector:
    length = np.sqrt(v @ v)
    return v / length if 0 < length < np.inf else np.zeros_like(v)
