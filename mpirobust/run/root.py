"""The center's part of an experiment: what happens before, around and after the round loop."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mpirobust.algorithms.base import State
from mpirobust.cluster.adversary import byzantine
from mpirobust.cluster.base import Cluster
from mpirobust.cluster.placement import assign_workers
from mpirobust.data.sources.base import Places
from mpirobust.errors import Exit, Fault, SetupFault
from mpirobust.observers.base import RunContext, Status, Watch
from mpirobust.plan import Plan, free_keys, load_plan
from mpirobust.records import checkpoint, run_folder
from mpirobust.records.layout import TRACE, open_record
from mpirobust.records.provenance import provenance
from mpirobust.records.trace import Trace
from mpirobust.run import rounds
from mpirobust.run.setup import RankSetup, RunRequest, RunSetup

_EXIT = {Status.DIVERGED: Exit.DIVERGED, Status.INTERRUPTED: Exit.INTERRUPTED, Status.LOST: Exit.LOST}


@dataclass(frozen=True)
class Start:
    """Where the center begins: the lock on the folder, the checkpoint (None: at round 0), the trace up to it."""

    lock: IO[str]
    found: checkpoint.Checkpoint | None
    trace: Trace


def prepare(request: RunRequest, size: int) -> RunSetup:
    """Find everything that can be found wrong before the ranks start to work; raises `SetupFault`."""
    plan, notes = load_plan(request.plan, request.overrides)
    assign_workers(plan.workers, size)
    for note in notes if not request.quiet else ():
        print(f"note: {note}", file=sys.stderr)
    folder = run_folder.choose_folder(request.out, request.plan.stem, request.resume, request.overwrite)
    if run_folder.holds_run(folder):
        run_folder.lock(folder).close()  # what another run is still writing would look damaged
    resumes = request.resume and run_folder.holds_run(folder)
    if resumes:
        run_folder.check_continues(folder, plan.table(), free_keys(plan))
    stores = plan.data.prepare(Places.for_plan(request.plan))
    found = None
    if resumes:
        found, damaged = checkpoint.newest(folder, plan.algorithm.state, _plan_id(plan))
        for why in damaged:
            print(f"note: passed over {why}", file=sys.stderr)
    checkpoint_file = str(found.path) if found else ""
    names = [str(path) for path in stores]
    return RunSetup(plan.table(), names, str(folder), resumes, checkpoint_file, request.quiet, request.ends)


def restore(setup: RunSetup, rank_setup: RankSetup, carrier: dict[str, str], hosts: list[str]) -> Start:
    """Take the folder and find where to go on from. Only here, where all else fits, is an older run removed.

    Raises:
        Fault: the folder or what it holds cannot be used.
    """
    plan, folder = rank_setup.plan, Path(setup.folder)
    lock = run_folder.lock(folder)
    facts = {"plan": plan.toml(), "data_digest": rank_setup.facts.digest, **provenance(carrier, hosts)}
    trace = Trace(plan.workers, byzantine(plan.attack, plan.workers, plan.seed), facts)
    if not setup.checkpoint:
        run_folder.prune(folder, after=0 if setup.resumes else -1)
        return Start(lock, None, trace)
    with open_record(folder / TRACE, "run", verify=False) as file:  # `prepare` has verified both files
        if file.attrs["data_digest"] != rank_setup.facts.digest:
            raise SetupFault(f"the data have changed since the run in {folder} began; choose another --out")
    path, dim = Path(setup.checkpoint), rank_setup.x0.size
    found = checkpoint.load(path, plan.algorithm.state, _plan_id(plan), dim, verify=False)
    trace.restore(folder / TRACE, found.tail, found.round, verify=False)
    run_folder.prune(folder, after=found.round)  # what was passed over
    return Start(lock, found, trace)


def run_rounds(
    setup: RunSetup, rank_setup: RankSetup, cluster: Cluster, interrupted: Callable[[], bool], start: Start
) -> int:
    """The run itself, from the first query to the dismissal of the workers; returns the exit code."""
    plan, found = rank_setup.plan, start.found
    try:
        state: State = found.state if found else plan.algorithm.start(rank_setup.x0, cluster)
        if found:
            workers, dim = range(plan.workers), rank_setup.x0.size
            cluster.restore(checkpoint.load_memory(found.path, checkpoint.RESIDUALS, workers, dim))
        watches = _watches(setup, rank_setup, start.trace, interrupted)
        t = found.round if found else 0
        status = rounds.loop(plan.algorithm, plan.aggregator, cluster, watches, state, t, plan.seed)
    except Fault as fault:
        cluster.dismiss(fault.code)
        raise
    code = _EXIT.get(status, Exit.OK)
    cluster.dismiss(code)
    return code


def _watches(setup: RunSetup, rank_setup: RankSetup, trace: Trace, interrupted: Callable[[], bool]) -> list[Watch]:
    """Start the observers of the plan, in their order."""
    plan = rank_setup.plan
    context = RunContext(
        trace=trace,
        folder=Path(setup.folder),
        plan_id=_plan_id(plan),
        rounds=plan.algorithm.rounds,
        solutions=rank_setup.solutions,
        stop=plan.stop,
        feedback_nbytes=0 if plan.feedback == "none" else 8 * plan.workers * rank_setup.x0.size,
        ends=setup.ends,
        quiet=setup.quiet,
        interrupted=interrupted,
    )
    started = (observer.start(context) for observer in plan.all_observers())
    return [watch for watch in started if watch is not None]


def _plan_id(plan: Plan) -> str:
    return hashlib.sha256(run_folder.identity(plan.table(), free_keys(plan)).encode()).hexdigest()
