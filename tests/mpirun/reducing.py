"""A plan of least squares as a loop of one's own with a `RobustReducer`; each rank is a worker of the plan.

    mpirun ... python reducing.py PLAN OUT MODE [--die RANK INSTANT ROUND] ... [--state]

Each rank writes `OUT/RANK.npz`: the iterate x, the ranks that are absent, and the message of the fault that ended it.
With `--state` it goes on from `OUT/state-RANK.npz`, if there is one, and leaves its state there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from mpirobust.comm.mpi import MpiCommunicator
from mpirobust.errors import RankFault
from mpirobust.plan import Plan, load_plan
from mpirobust.reducer.reducer import RobustReducer
from mpirobust.reducer.settings import Mode
from mpirobust.testing.support.clusters import LocalRun
from tests.support.instants import die, replace
from tests.support.reducing import STEP, gradient

_PAUSE = 0.2  # seconds; what a rank has sent before its end may be under way still
_CALLS = {  # in place of which call a rank dies, and how many of its name it has made in the round
    "before the packets": ("gather", 0),
    "between lengths and packets": ("gather", 1),
    "before the aggregate": ("broadcast", 0),
    "before it confirms": ("confirm", 0),
    "in the recovery": ("recover", 0),
}


def doom(reducer: RobustReducer, instant: str, round: int) -> None:
    """Let this rank die in that round."""
    name, before = _CALLS[instant]
    made = {"round": -1, "calls": 0}

    def counted(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if made["round"] != reducer.round:
            made.update(round=reducer.round, calls=0)
        if made == {"round": round, "calls": before}:
            time.sleep(_PAUSE)
            die()
        made["calls"] += 1
        return method(*arguments, **named)

    for each in ("gather", "gather_to_all") if name == "gather" else (name,):
        method = getattr(MpiCommunicator, each)
        replace(MpiCommunicator, each, lambda *given, method=method, **named: counted(method, *given, **named))


def reducer_of(comm: MPI.Comm, plan: Plan, mode: Mode) -> RobustReducer:
    return RobustReducer(
        comm,
        compressor=plan.compressor,
        aggregator=plan.aggregator,
        feedback=plan.feedback,
        downlink=plan.downlink,
        mode=mode,
        seed=plan.seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("mode")
    parser.add_argument("--die", nargs=3, action="append", default=[])
    parser.add_argument("--state", action="store_true")
    asked, comm = parser.parse_args(), MPI.COMM_WORLD
    plan, _ = load_plan(asked.plan, ())
    local = LocalRun(plan)
    for rank, instant, _ in asked.die:
        if (int(rank), instant) == (comm.rank, "before the reducer"):
            die()
    try:
        reducer = reducer_of(comm, plan, asked.mode)
    except RankFault:
        reducer = reducer_of(comm.Shrink(), plan, asked.mode)
    for rank, instant, round in asked.die:
        if int(rank) == comm.rank:
            doom(reducer, instant, int(round))
    x, first, kept = local.x0, 0, asked.out / f"state-{comm.rank}.npz"
    if asked.state and kept.exists():
        with np.load(kept) as state:
            x, first = state["x"], int(state["round"])
            reducer.restore({name: state[name] for name in state.files if name != "x"})
    said = ""
    try:
        for t in range(first, plan.algorithm.rounds):
            x = x - reducer.reduce(gradient(local, comm.rank, t, x), STEP)
    except RankFault as fault:
        said = str(fault)
    if asked.state:
        np.savez(kept, x=x, **reducer.state())
    np.savez(asked.out / f"{comm.rank}.npz", x=x, absent=reducer.absent, said=said, round=reducer.round)
    reducer.leave()


if __name__ == "__main__":
    main()
