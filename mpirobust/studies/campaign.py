"""Many runs in one job, one after the other, each on all ranks. A finished run is not repeated."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TypeAlias

from mpirobust.cluster.placement import assign_workers
from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, Fault, SetupFault
from mpirobust.plan import load_plan
from mpirobust.records import run_folder
from mpirobust.records.layout import TRACE, open_record
from mpirobust.reports.summary import DONE
from mpirobust.running import experiment
from mpirobust.running.setup import RunRequest
from mpirobust.running.stop_signals import StopSignals
from mpirobust.running.watchdog import Watchdog
from mpirobust.terminal import say
from mpirobust.time_limit import MARGIN, passed, shortage

_PAUSE = 1.0  # seconds between two looks at a run of another command

Seeds: TypeAlias = Callable[[str, Sequence[int]], Sequence[int]]  # name of a study, all its seeds -> those to run


@dataclass(frozen=True)
class Job:
    """One run: a plan with overrides, the workers that it asks for, and the folder that it writes to."""

    plan: Path
    overrides: tuple[str, ...]
    workers: int
    folder: Path


@dataclass(frozen=True)
class StudyRequest:
    """The request of the command line.

    Attributes:
        out: the folder for tables and pictures.
        runs: the folder that gets the runs, and is searched for those that are there.
        seeds: how many of each family or matrix, its first; None for all.
        overrides: `key=value` assignments for every plan, after those of the study.
        ends, limit: as in `RunRequest`.
    """

    out: Path
    runs: Path
    seeds: int | None = None
    overrides: tuple[str, ...] = ()
    ends: float | None = None
    limit: str = ""

    def chosen(self, _: str, seeds: Sequence[int]) -> Sequence[int]:
        """Return the first `self.seeds` of the seeds of a study."""
        return seeds[: self.seeds]


def job(plan: Path, overrides: Sequence[str], runs: Path) -> Job:
    """Return the job in a folder below `runs` that is named after a hash of the effective plan.

    Raises:
        SetupFault: the plan is wrong.
    """
    effective, _ = load_plan(plan, overrides)
    name = hashlib.sha256(effective.former_toml().encode()).hexdigest()[:16]
    return Job(plan, tuple(overrides), effective.workers, runs / name)


def carry_out(
    plan_jobs: Callable[[], Sequence[Job]],
    comm: Communicator,
    ends: float | None = None,
    limit: str = "",
) -> int:
    """Run the jobs of `plan_jobs` (called at the center) on all ranks; return the exit code.

    A finished job is passed over, an interrupted one continues, and one that another command has begun comes last. A
    run that diverges is a result like any other. A signal or the time `ends` ends the run at hand after a round, with
    a checkpoint; `ends` and `limit` are as in `RunRequest`.

    Raises:
        Fault: of a plan, its data, or a run.
    """
    todo = json.loads(comm.on_root(lambda: _listed(plan_jobs(), comm.size)))
    with StopSignals() as signals, Watchdog(comm, signals, ends) as watchdog:
        left = deque(enumerate(todo, start=1))
        while left:
            at, (plan, overrides, name) = left.popleft()
            folder, label = Path(name), f"[{at}/{len(todo)}] {' '.join(overrides)}"
            with ExitStack() as claims:
                match comm.on_root(partial(_next, folder, label, claims, signals.asked, ends, limit)):
                    case b"stop":
                        return Exit.INTERRUPTED
                    case b"later":
                        left.append((at, (plan, overrides, name)))
                    case b"run":
                        request = RunRequest(
                            Path(plan), overrides, folder, resume=True, quiet=True, ends=ends, limit=limit
                        )
                        code = _run(request, comm, signals, watchdog)
                        if code in (Exit.INTERRUPTED, Exit.LOST):
                            return code
                        comm.on_root(partial(_cleared, folder))
    return Exit.OK


def _run(request: RunRequest, comm: Communicator, signals: StopSignals, watchdog: Watchdog) -> int:
    """Carry out one run; return its exit code, also if it was interrupted before its first round."""
    try:
        return experiment.run(request, comm, signals, watchdog)[0]
    except Fault as fault:
        if fault.code != Exit.INTERRUPTED:
            raise
        return Exit.INTERRUPTED


def _next(folder: Path, label: str, claims: ExitStack, stop: bool, ends: float | None, limit: str) -> bytes:
    """Return the action for a job, at the center; another command on the same runs may have finished it meanwhile."""
    if ends is not None and passed(ends):  # the watchdog may have asked for the end before
        say(shortage(ends - monotonic(), MARGIN, limit))
        stop = True
    if stop:
        return b"stop"
    try:
        claims.callback(os.close, run_folder.claim(folder))
    except run_folder.Locked:
        sleep(_PAUSE)
        return b"later"
    say(label)
    return b"pass" if is_done(folder) else b"run"


def _cleared(folder: Path) -> bytes:
    """Delete the checkpoints of a finished run."""
    run_folder.prune(folder, after=0)
    return b""


def _listed(jobs: Sequence[Job], size: int) -> bytes:
    todo = {job.folder: job for job in jobs if not is_done(job.folder)}  # two figures may share a run
    for job in todo.values():
        assign_workers(job.workers, size)
    return json.dumps([(str(job.plan), job.overrides, str(job.folder)) for job in todo.values()]).encode()


def is_done(folder: Path) -> bool:
    """Return whether the run is finished; raise `SetupFault` if its trace cannot be read."""
    if not (folder / TRACE).exists():
        return False
    try:
        with open_record(folder / TRACE, "run") as file:
            return str(file.attrs["status"]) in DONE
    except SetupFault as fault:
        raise SetupFault(f"{fault}; remove {folder} to run it again") from fault
