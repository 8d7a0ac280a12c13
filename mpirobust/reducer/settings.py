"""The arguments of a reducer, as components; the same on all ranks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator, AggregatorLike, expect_alone
from mpirobust.components import is_component
from mpirobust.compressors.base import Compressor, CompressorLike
from mpirobust.errors import PlanFault, inside
from mpirobust.feedback.base import Feedback, FeedbackLike
from mpirobust.records.fields import expect_storable
from mpirobust.types import Layout

Mode: TypeAlias = Literal["center", "symmetric"]


@dataclass(frozen=True)
class Settings:
    """The components of a reducer.

    Attributes:
        compressor, aggregator, feedback: as in a plan.
        downlink: the compressor of the aggregate on its way from the center; None to send it whole.
        mode: whether rank 0 aggregates for all, or each rank for itself.
        seed: of all random streams.
        notes: on the keys of their tables.
    """

    compressor: Compressor
    aggregator: Aggregator
    feedback: Feedback
    downlink: Compressor | None
    mode: Mode
    seed: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        compressor: CompressorLike,
        aggregator: AggregatorLike,
        feedback: FeedbackLike,
        downlink: CompressorLike | None,
        mode: Mode,
        seed: int,
        workers: int,
    ) -> Settings:
        """Return the settings for so many workers; raise `PlanFault` with the argument that is wrong."""
        if mode not in get_args(Mode):
            raise PlanFault("mode", f"expected {' or '.join(map(repr, get_args(Mode)))}, not {mode!r}")
        if not (isinstance(seed, int | np.integer) and 0 <= seed < 2**63):
            raise PlanFault("seed", f"expected a whole number of 63 bits, not {seed!r}")
        if downlink is not None and mode == "symmetric":
            raise PlanFault("downlink", 'nothing goes down in mode "symmetric"; leave it out')
        rule, notes = catalog.given("aggregator", aggregator)
        with inside("aggregator"):
            rule.admit(workers, 0)
            expect_alone(rule)
        if (kept := rule.memory()) is not None:
            expect_storable(kept)
        up, of_up = catalog.given("compressor", compressor)
        memory, of_feedback = catalog.given("feedback", feedback)
        down, of_down = (None, []) if downlink is None else catalog.given("compressor", downlink, "downlink")
        return cls(up, rule, memory, down, mode, int(seed), (*notes, *of_up, *of_feedback, *of_down))

    def admit(self, layout: Layout) -> None:
        """Raise `PlanFault` with the argument that does not fit vectors of this layout."""
        for compressor in self.feedback.compressors(self.compressor):
            with inside("compressor"):
                compressor.admit(layout)
        if self.downlink is not None:
            with inside("downlink"):
                self.downlink.admit(layout)

    def described(self) -> dict[str, str]:
        """Return each argument as text: what has to be the same on all ranks."""
        texts = {
            name: json.dumps(catalog.with_kind(value), default=str) if is_component(value) else repr(value)
            for name, value in vars(self).items()
        }
        return texts | {f"the source of {place}": each.sha256 for place, each in catalog.origins(self).items()}
