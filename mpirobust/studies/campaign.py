"""Many runs in one job, one after the other, each on a crew of ranks. A finished run is not repeated."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TypeAlias

from mpirobust.cluster.placement import assign_workers
from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, Fault, SetupFault
from mpirobust.plan import Plan, load_plan
from mpirobust.records import run_folder
from mpirobust.records.layout import TRACE, open_record
from mpirobust.reports.summary import DONE
from mpirobust.running import experiment
from mpirobust.running.setup import RunRequest
from mpirobust.running.stop_signals import StopSignals
from mpirobust.running.watchdog import Watchdog
from mpirobust.studies.progress import StudyMeter
from mpirobust.terminal import say
from mpirobust.time_limit import MARGIN, passed, shortage

_PAUSE = 1.0  # seconds between two looks at a run of another command

Seeds: TypeAlias = Callable[[str, Sequence[int]], Sequence[int]]  # name of a study, all its seeds -> those to run
Numbered: TypeAlias = tuple[int, "Job"]  # counted from 1


@dataclass(frozen=True)
class Job:
    """One run: a plan with overrides, the workers that it asks for, and the folder that it writes to.

    Attributes:
        name: the study, the curve, and the keys of the run, for its user.
    """

    plan: Path
    overrides: tuple[str, ...]
    workers: int
    folder: Path
    name: str = ""


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


@dataclass(frozen=True)
class Crew:
    """The processes that carry out runs one after the other, and what may end them early.

    Attributes:
        signals, watchdog: active contexts.
        ends, limit: as in `RunRequest`.
        crews: how many there are in this job.
    """

    comm: Communicator
    signals: StopSignals
    watchdog: Watchdog
    ends: float | None
    limit: str
    crews: int = 1

    def run(self, job: Job, place: str) -> int:
        """Carry out one run; return its exit code, also if it was interrupted before its first round.

        Args:
            place: in the study, for its progress.
        """
        request = RunRequest(
            job.plan,
            job.overrides,
            job.folder,
            resume=True,
            quiet=True,
            label=f"{place} ",
            ends=self.ends,
            limit=self.limit,
            threads=None if self.crews == 1 else 1,  # a rank cannot see which cores the other crews use
        )
        try:
            return experiment.run(request, self.comm, self.signals, self.watchdog)[0]
        except Fault as fault:
            if fault.code != Exit.INTERRUPTED:
                raise
            return Exit.INTERRUPTED


def job(plan: Path, overrides: Sequence[str], runs: Path, name: str = "") -> Job:
    """Return the job in a folder below `runs` that is named after a hash of the effective plan.

    Args:
        name: of the study and the curve.

    Raises:
        SetupFault: the plan is wrong.
    """
    effective, _ = load_plan(plan, overrides)
    return job_of(effective, plan, overrides, runs, f"{name}: {' '.join(overrides)}")


def job_of(effective: Plan, plan: Path, overrides: Sequence[str], runs: Path, name: str) -> Job:
    """Return the job of the effective plan, that of `plan` with `overrides`; see `Job` for the name."""
    digest = hashlib.sha256(effective.former_toml().encode()).hexdigest()[:16]
    return Job(plan, tuple(overrides), effective.workers, runs / digest, name)


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
    todo = told(comm, lambda: unfinished(plan_jobs(), comm.size))
    with StopSignals() as signals, Watchdog(comm, signals, ends) as watchdog, StudyMeter(len(todo)) as meter:
        return work_off(enumerate(todo, start=1), Crew(comm, signals, watchdog, ends, limit), meter)


def _raise(_: Job, fault: Fault) -> None:
    raise fault


def work_off(
    todo: Iterable[Numbered],
    crew: Crew,
    meter: StudyMeter,
    ours: Callable[[Path], bool] = lambda _: True,
    on_fault: Callable[[Job, Fault], None] = _raise,
) -> int:
    """Carry out jobs, as `carry_out` says, on the ranks of a crew; return the exit code.

    Args:
        ours: whether this crew is the one to run what belongs into a folder; called at the center.
        on_fault: called for a run that fails, on each rank of the crew; the next one follows if it returns.
    """
    left = deque(todo)
    while left:
        at, job = left.popleft()
        with ExitStack() as claims:
            try:
                match crew.comm.on_root(partial(_next, at, job, crew, meter, ours, claims)):
                    case b"stop":
                        return Exit.INTERRUPTED
                    case b"later":
                        left.append((at, job))
                    case b"run":
                        code = crew.run(job, meter.place(at))
                        if code in (Exit.INTERRUPTED, Exit.LOST):
                            return code
                        crew.comm.on_root(partial(_cleared, job.folder))
            except Fault as fault:
                on_fault(job, fault)
    meter.end()
    return Exit.OK


def _next(at: int, job: Job, crew: Crew, meter: StudyMeter, ours: Callable[[Path], bool], claims: ExitStack) -> bytes:
    """Return the action for a job, at the center; another command on the same runs may have finished it meanwhile."""
    stop = crew.signals.asked
    if crew.ends is not None and passed(crew.ends):  # the watchdog may have asked for the end before
        stop = True
        if crew.comm.number == 0:
            say(shortage(crew.ends - monotonic(), MARGIN, crew.limit))
    if stop:
        return b"stop"
    if not ours(job.folder):
        return b"pass"
    try:
        claims.callback(os.close, run_folder.claim(job.folder))
    except run_folder.Locked:
        sleep(_PAUSE)
        return b"later"
    meter.begin(at, job.name)
    return b"pass" if is_done(job.folder) else b"run"


def _cleared(folder: Path) -> bytes:
    """Delete the checkpoints of a finished run."""
    run_folder.prune(folder, after=0)
    return b""


def unfinished(jobs: Iterable[Job], size: int) -> list[Job]:
    """Return the jobs that are not done, each once; raise `SetupFault` if so many ranks are too many for one."""
    todo = {job.folder: job for job in jobs if not is_done(job.folder)}  # two figures may share a run
    for job in todo.values():
        assign_workers(job.workers, size)
    return list(todo.values())


def told(comm: Communicator, jobs: Callable[[], Sequence[Job]]) -> list[Job]:
    """Return, on all ranks, the jobs that the center returns from `jobs`; faults as in `Communicator.on_root`."""
    rows = comm.on_root(
        lambda: json.dumps(
            [(str(job.plan), job.overrides, job.workers, str(job.folder), job.name) for job in jobs()]
        ).encode()
    )
    return [
        Job(Path(plan), tuple(overrides), workers, Path(folder), name)
        for plan, overrides, workers, folder, name in json.loads(rows)
    ]


def is_done(folder: Path) -> bool:
    """Return whether the run is finished; raise `SetupFault` if its trace cannot be read."""
    if not (folder / TRACE).exists():
        return False
    try:
        with open_record(folder / TRACE, "run") as file:
            return str(file.attrs["status"]) in DONE
    except SetupFault as fault:
        raise SetupFault(f"{fault}; remove {folder} to run it again") from fault
