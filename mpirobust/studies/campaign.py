"""Many runs in one job, one after the other, each on all ranks; what is there already is not run again."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpirobust import experiment
from mpirobust.cluster.world import World
from mpirobust.errors import Exit, SetupFault
from mpirobust.observers.base import Status
from mpirobust.observers.deadline import passed
from mpirobust.observers.signals import SignalWatch
from mpirobust.plan import load_plan
from mpirobust.records import outputs
from mpirobust.records.layout import TRACE, open_record
from mpirobust.team import Request

_DONE = {Status.FINISHED, Status.CONVERGED, Status.DIVERGED}


@dataclass(frozen=True)
class Job:
    """One run: a plan with overrides, and the folder that it writes to."""

    plan: Path
    overrides: tuple[str, ...]
    folder: Path


def job(plan: Path, overrides: Sequence[str], runs: Path) -> Job:
    """The job in a folder below `runs` that is named after the effective plan: another plan, another folder.

    Raises:
        SetupFault: the plan is wrong.
    """
    effective, _ = load_plan(plan, overrides)
    return Job(plan, tuple(overrides), runs / hashlib.sha256(effective.toml().encode()).hexdigest()[:16])


def carry_out(plan_jobs: Callable[[], Sequence[Job]], world: World, ends: float | None = None) -> int:
    """Run on all ranks what `plan_jobs` (called on the center's) says; returns the exit code.

    A job that is done is passed over and one that was interrupted goes on. A run that diverges is a
    result as any other. A signal or the time `ends` (as in `Request`) ends the run at hand after a round,
    with a checkpoint.

    Raises:
        Fault: of a plan, its data, or a run.
    """
    todo = json.loads(world.at_center(lambda: _listed(plan_jobs())))
    with SignalWatch() as watch:
        for at, (plan, overrides, folder) in enumerate(todo, start=1):
            if world.at_center(lambda: b"stop" if watch.asked or passed(ends) else b""):
                return Exit.INTERRUPTED
            request = Request(Path(plan), overrides, Path(folder), resume=True, quiet=True, ends=ends)
            if world.leads:
                print(f"[{at}/{len(todo)}] {' '.join(overrides)}", file=sys.stderr, flush=True)
            code, _ = experiment.run(request, world)
            if code == Exit.INTERRUPTED:
                return code
            if world.leads:
                outputs.clear(Path(folder), after=0)  # a run that is done needs its trace alone
    return Exit.OK


def _listed(jobs: Sequence[Job]) -> bytes:
    todo = {job.folder: job for job in jobs if not _is_done(job.folder)}  # two figures may share a run
    return json.dumps([(str(job.plan), job.overrides, str(job.folder)) for job in todo.values()]).encode()


def _is_done(folder: Path) -> bool:
    try:
        with open_record(folder / TRACE, "run") as file:
            return str(file.attrs["status"]) in _DONE
    except SetupFault:
        return False
