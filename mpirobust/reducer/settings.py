"""The arguments of a reducer, as components; the same on all ranks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator
from mpirobust.components import is_component
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault, inside
from mpirobust.feedback.base import Feedback
from mpirobust.records.fields import expect_storable
from mpirobust.types import Layout

Mode: TypeAlias = Literal["center", "symmetric"]
Given: TypeAlias = str | Mapping[str, Any]  # a kind, or a table with a kind, as in a plan


@dataclass(frozen=True)
class Settings:
    """The components of a reducer.

    Attributes:
        compressor, aggregator, feedback: as in a plan.
        downlink: the compressor of the aggregate on its way from the center; None to send it whole.
        mode: whether rank 0 aggregates for all, or each rank for itself.
        seed: of all random streams.
    """

    compressor: Compressor
    aggregator: Aggregator
    feedback: Feedback
    downlink: Compressor | None
    mode: Mode
    seed: int

    @classmethod
    def of(
        cls,
        compressor: Compressor | Given,
        aggregator: Aggregator | Given,
        feedback: Feedback | Given,
        downlink: Compressor | Given | None,
        mode: Mode,
        seed: int,
        workers: int,
    ) -> Settings:
        """Return the settings for so many workers; raise `PlanFault` with the argument that is wrong."""
        if mode not in get_args(Mode):
            raise PlanFault("mode", f"expected {' or '.join(map(repr, get_args(Mode)))}, not {mode!r}")
        if not (isinstance(seed, int) and 0 <= seed < 2**63):
            raise PlanFault("seed", f"expected a whole number of 63 bits, not {seed!r}")
        if downlink is not None and mode == "symmetric":
            raise PlanFault("downlink", 'nothing goes down in mode "symmetric"; leave it out')
        rule = _built("aggregator", aggregator)
        with inside("aggregator"):
            rule.admit(workers, 0)
        if (kept := rule.memory()) is not None:
            expect_storable(kept)
        way_down = None if downlink is None else _built("compressor", downlink, "downlink")
        return cls(_built("compressor", compressor), rule, _built("feedback", feedback), way_down, mode, seed)

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


def _built(table: str, given: Any, where: str = "") -> Any:
    """Return the component that was given, or that a kind or a table describes."""
    room = catalog.ROOMS[table]
    if is_component(given) and isinstance(given, room.base()):
        return given
    return catalog.build(room, {"kind": given} if isinstance(given, str) else given, where or table)
