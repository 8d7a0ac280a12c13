"""Runs side by side: the ranks of a job in crews, each of which carries out one run after the other.

A run that no job has begun yet is carried out by the crew that creates its folder first, so that no crew waits for a
slow one. Those that an earlier job has begun are dealt, because their folders are there. Crews need no messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, Fault, ReportedFault, SetupFault, WorkerFault
from mpirobust.records import run_folder
from mpirobust.running.stop_signals import StopSignals
from mpirobust.running.watchdog import Watchdog
from mpirobust.studies.campaign import Crew, Job, Numbered, told, unfinished, work_off
from mpirobust.studies.progress import StudyMeter
from mpirobust.terminal import say

_ENDING = (Exit.INTERRUPTED, Exit.LOST, Exit.STORAGE)  # after one of these a crew begins no other run


@dataclass(frozen=True)
class Failure:
    """A run that failed: its folder, the exit code, and the reason, '' on a rank that has not met it itself."""

    folder: str
    code: int
    reason: str


def carry_out_side_by_side(
    plan_jobs: Callable[[], Sequence[Job]],
    comm: Communicator,
    size: int | None = None,
    ends: float | None = None,
    limit: str = "",
) -> tuple[int, Mapping[Path, Failure]]:
    """Run the jobs of `plan_jobs` (called at the center), each on the ranks of a crew.

    A run that fails is named, and its crew goes on with the next; else as `campaign.carry_out`.

    Args:
        size: ranks of a crew; by default as few as give each crew a run, one at the least. Ranks that are left over
            wait.

    Returns:
        The exit code, which is not OK if runs are left that have not failed; and the failures by folder, at the center.

    Raises:
        Fault: of a plan, or the number of ranks.
    """
    jobs: list[Job] = []  # at the center
    failed: dict[Path, Failure] = {}

    def left() -> list[Job]:
        if size is not None and size > comm.size:
            raise SetupFault(f"--ranks-per-run {size}: mpirun has started {comm.size}")
        if not jobs:
            jobs.extend(plan_jobs())
        return [job for job in unfinished(jobs, size or 1) if job.folder not in failed]

    todo = told(comm, left)
    if not todo:
        return Exit.OK, {}
    each = size or max(1, min(comm.size // len(todo), min(job.workers for job in todo) + 1))
    own, number = comm.divided(each)
    crews = comm.size // each
    with StopSignals() as signals, Watchdog(own, signals, ends) as watchdog:
        crew = Crew(own, signals, watchdog, ends, limit, crews)
        while todo:
            mine: list[Failure] = []
            begun = _begun(comm, todo)
            with StudyMeter(len(todo), crews) as meter:
                share = _share(todo, begun, number, crews)
                code = _worked_off(share, begun, crew, meter, mine)
            comm.join()
            code = _merged(comm, code, mine, failed)
            todo = told(comm, left)  # also what another command has begun in the meantime
            if todo and code != Exit.OK:
                return code, failed
    return Exit.OK, failed


def _begun(comm: Communicator, todo: Sequence[Job]) -> set[Path]:
    """Return, on all ranks, the folders that were there when the center looked."""
    found = comm.on_root(lambda: json.dumps([str(job.folder) for job in todo if job.folder.exists()]).encode())
    return {Path(each) for each in json.loads(found)}


def _share(todo: Sequence[Job], begun: set[Path], number: int, crews: int) -> Iterator[Numbered]:
    """Yield the jobs for the crew: its part of those that were begun, and all others."""
    dealt = count()
    for at, job in enumerate(todo, start=1):
        if number < crews and (job.folder not in begun or next(dealt) % crews == number):
            yield at, job


def _worked_off(
    todo: Iterator[Numbered], begun: set[Path], crew: Crew, meter: StudyMeter, failures: list[Failure]
) -> int:
    """Carry out the jobs; return the exit code of the crew and append to `failures`."""
    reasons: set[str] = set()

    def on_fault(job: Job, fault: Fault) -> None:
        if fault.code in _ENDING or (isinstance(fault, WorkerFault) and crew.comm.size > 1):
            raise fault
        reason = str(fault)
        if not isinstance(fault, ReportedFault) and reason not in reasons:
            say(f"mpirobust: {job.name}: {reason}")
            reasons.add(reason)
        failures.append(Failure(str(job.folder), fault.code, reason))

    try:
        return work_off(todo, crew, meter, lambda folder: folder in begun or run_folder.create(folder), on_fault)
    except Fault as fault:
        if isinstance(fault, WorkerFault):  # the other ranks of the crew do not know of it: the job ends
            raise
        if not isinstance(fault, ReportedFault):
            say(f"mpirobust: {fault}")
        return fault.code


def _merged(comm: Communicator, code: int, mine: Sequence[Failure], failed: dict[Path, Failure]) -> int:
    """Add the failures of all ranks to `failed`, at the center; return the largest exit code of all crews."""
    everyone = comm.gather_bytes(json.dumps([code, [asdict(failure) for failure in mine]]).encode())
    codes = [code]
    for text in everyone if comm.is_root else ():
        other, failures = json.loads(text)
        codes.append(other)
        for failure in (Failure(**table) for table in failures):
            known = failed.get(Path(failure.folder))
            if known is None or not known.reason:
                failed[Path(failure.folder)] = failure
    return int(comm.broadcast_bytes(bytes([max(codes)]))[0])
