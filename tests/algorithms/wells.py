"""Runs that begin on a saddle point, and runs that go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpirobust import center
from mpirobust.algorithms.base import State
from mpirobust.plan import Plan
from mpirobust.records import checkpoint
from mpirobust.records.trace import Trace
from tests.teams import Team
from tests.test_center import Witness


def well(plan: Plan) -> Team:
    """The team of `plan` on the double well in 8 dimensions, without noise, from the saddle."""
    toy = {
        "data": {"kind": "none", "rows": 60, "features": 8},
        "problem": {"kind": "double-well", "start_norm": 0.0},
    }
    return Team(Plan.of({**plan.table(), **toy}))


def went_on(team: Team, moment: Any, folder: Path) -> Witness:
    """The rest of a run, by another team, from a checkpoint at `moment`."""
    plan, rest = team.plan, Witness()
    tail = Trace(plan.workers, team.orders.byzantine, {}).tail()
    checkpoint.save(folder, moment.round, moment.state, team.cluster, tail, "plan")
    path = next(folder.glob(f"*{moment.round}.h5"))
    state: State = checkpoint.read(path, plan.algorithm.state, "plan").state
    center.run(plan.algorithm, plan.aggregator, team.cluster, [rest], state, moment.round, plan.seed)
    return rest
