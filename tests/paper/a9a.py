"""Runs on the real a9a, in this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.base import Oracle
from mpirobust.cluster.base import Audit
from mpirobust.data.sources.base import Places
from mpirobust.observers.base import Moment, Status, Watch
from mpirobust.plan import Plan, with_overrides
from mpirobust.running import rounds
from mpirobust.testing.support.clusters import LocalRun
from mpirobust.toml import read_table
from mpirobust.types import Vector
from tests.support.launching import CONFIGS

PATH = Path(os.environ.get("MPIROBUST_DATA", "")) / "libsvm" / "a9a"
NEEDED = pytest.mark.skipif(not PATH.is_file(), reason="no libsvm/a9a below $MPIROBUST_DATA")


class _Witness(Watch):
    """Remembers the iterates and who was kept; audits every `every` rounds."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.iterates: list[Vector] = []
        self.kept: list[Any] = []
        self.audits: dict[int, Audit] = {}

    def before_first_round(self, moment: Moment) -> Status | None:
        self.iterates.append(moment.state.x)
        return None

    def after_round(self, moment: Moment) -> Status | None:
        assert moment.verdict is not None
        self.iterates.append(moment.state.x)
        self.kept.append(moment.verdict.kept)
        if moment.round % self.every == 0:
            self.audits[moment.round] = moment.cluster.audit(moment.state.x)
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        self.audits[moment.round] = moment.cluster.audit(moment.state.x)


@dataclass(frozen=True)
class Run:
    """What came of a run: the iterates from x_0 on, the audits by round, and the Byzantine workers kept in all."""

    local: LocalRun
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

    def local(self, *overrides: str, config: str = "a9a-cubic.toml") -> LocalRun:
        """Workers of a plan in `configs` with overrides."""
        table, _ = with_overrides(read_table(CONFIGS / config), overrides)
        plan = Plan.of(table)
        return LocalRun(plan, plan.data.prepare(self._places))

    def run(self, *overrides: str, every: int = 10**9, config: str = "a9a-cubic.toml") -> Run:
        """A whole run."""
        local = self.local(*overrides, config=config)
        plan, witness = local.plan, _Witness(every)
        state = plan.algorithm.start(local.x0, local.cluster)
        own = local.dataset.train(plan.rows_of_center(local.dataset.facts.rows))
        oracle = Oracle(plan.problem, own, plan.algorithm) if plan.center_rows else None
        with np.errstate(over="ignore", invalid="ignore"):  # as in a run
            rounds.loop(plan.algorithm, plan.aggregator, local.cluster, [witness], state, 0, plan.seed, oracle=oracle)
        kept = sum(int(kept[local.byzantine].sum()) for kept in witness.kept)
        return Run(local, witness.iterates, witness.audits, kept)
