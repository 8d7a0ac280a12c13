"""Runs on the real a9a, in this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust import center
from mpirobust.cluster.base import Audit
from mpirobust.data.sources.base import Places
from mpirobust.observers.base import Moment, Observer, Status
from mpirobust.plan import Plan, read_table, with_overrides
from mpirobust.types import Vector
from tests.launching import CONFIGS
from tests.teams import Team

PATH = Path(os.environ.get("MPIROBUST_DATA", "")) / "libsvm" / "a9a"
NEEDED = pytest.mark.skipif(not PATH.is_file(), reason="no libsvm/a9a below $MPIROBUST_DATA")


class _Witness(Observer):
    """Remembers the iterates and who was kept; audits every `every` rounds."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.iterates: list[Vector] = []
        self.kept: list[Any] = []
        self.audits: dict[int, Audit] = {}

    def begin(self, moment: Moment) -> Status | None:
        self.iterates.append(moment.state.x)
        return None

    def see(self, moment: Moment) -> Status | None:
        assert moment.verdict is not None
        self.iterates.append(moment.state.x)
        self.kept.append(moment.verdict.kept)
        if moment.round % self.every == 0:
            self.audits[moment.round] = moment.cluster.audit(moment.state.x)
        return None

    def end(self, moment: Moment, status: Status) -> None:
        self.audits[moment.round] = moment.cluster.audit(moment.state.x)


@dataclass(frozen=True)
class Run:
    """What came of a run: the iterates from x_0 on, the audits by round, and the Byzantine workers kept in all."""

    team: Team
    iterates: list[Vector]
    audits: dict[int, Audit]
    byzantine_kept: int

    @property
    def last(self) -> Audit:
        return self.audits[len(self.iterates) - 1]


class A9a:
    """The data, prepared once."""

    def __init__(self, cache: Path) -> None:
        self._places = Places(CONFIGS, PATH.parent.parent, cache)

    def team(self, *overrides: str) -> Team:
        """Workers of `configs/a9a-cubic.toml` with overrides."""
        table, _ = with_overrides(read_table(CONFIGS / "a9a-cubic.toml"), overrides)
        plan = Plan.of(table)
        return Team(plan, plan.data.prepare(self._places))

    def run(self, *overrides: str, every: int = 10**9) -> Run:
        """A whole run."""
        team = self.team(*overrides)
        plan, witness = team.plan, _Witness(every)
        state = plan.algorithm.start(team.x0, team.cluster)
        with np.errstate(over="ignore", invalid="ignore"):  # as in a run
            center.run(plan.algorithm, plan.aggregator, team.cluster, [witness], state, 0, plan.seed)
        kept = sum(int(kept[team.byzantine].sum()) for kept in witness.kept)
        return Run(team, witness.iterates, witness.audits, kept)
