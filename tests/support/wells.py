"""Runs that begin on a saddle point, and runs that go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpirobust.plan import Plan
from mpirobust.records import checkpoint
from mpirobust.records.trace import Trace
from mpirobust.running import rounds
from mpirobust.testing.support.clusters import LocalRun
from mpirobust.testing.support.witness import Witness


def well(plan: Plan) -> LocalRun:
    """The run of `plan` on the double well in 8 dimensions, without noise, from the saddle."""
    toy = {
        "data": {"kind": "none", "rows": 60, "features": 8},
        "problem": {"kind": "double-well", "start_norm": 0.0},
    }
    return LocalRun(Plan.of({**plan.table(), **toy}))


def went_on(local: LocalRun, moment: Any, folder: Path) -> Witness:
    """The rest of a run, by other workers, from a checkpoint at `moment`."""
    plan, rest = local.plan, Witness()
    tail = Trace(plan.workers, local.config.byzantine, {}).tail()
    checkpoint.save(folder, checkpoint.Snapshot(moment.round, moment.state, tail), "plan", local.memories(moment.round))
    path = next(folder.glob(f"*{moment.round}.h5"))
    state = checkpoint.load(path, checkpoint.Schema(plan.algorithm.state, "plan")).state
    rounds.loop(plan.algorithm, plan.aggregator, local.cluster, [rest], state, moment.round, plan.seed)
    return rest
