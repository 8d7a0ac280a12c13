"""Runs, started from Python."""

from __future__ import annotations

import json
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike

from threadpoolctl import threadpool_limits

from mpirobust import errors
from mpirobust.api import arguments
from mpirobust.api.plans import PlanLike, as_plan
from mpirobust.api.results import Run, open_run
from mpirobust.comm.communicator import Communicator
from mpirobust.comm.launch import meet, open_communicator
from mpirobust.errors import Exit, Fault, PlanFault, ReportedFault, SetupFault, WorkerFault
from mpirobust.running import experiment
from mpirobust.running.setup import RunRequest
from mpirobust.terminal import say
from mpirobust.time_limit import end_of, origin_of


def run(
    plan: PlanLike,
    out: str | PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
    time_limit: str | None = None,
    round_timeout: float | None = None,
    threads: int | None = None,
) -> Run:
    """Run a plan to its end and return the run: in this process, or on all ranks if an MPI launcher started them.

    It is the run of `mpirobust run`: the same files, the same bits. Every rank makes this call, with the same
    arguments, from its main thread. Every rank gets the result and opens the file, which has to be visible to it.

    SIGINT (in a notebook: the button that interrupts), SIGTERM and SIGUSR1 end the run after the round at hand with a
    checkpoint; the status is then `interrupted`. BLAS has one thread during the run, and as many as before afterwards.

    Args:
        plan: as `load_plan` takes it.
        out: the folder of the output; None for the first of `runs/NAME`, `runs/NAME-2`, ... without a run.
        resume, overwrite: whether to continue or to replace the run in this folder.
        quiet: whether standard error has no progress and no notes, but only what goes wrong: a rank or a worker that
            fails, a damaged checkpoint, memory that was lost, a time limit into which no round fits.
        time_limit: "4h", "30m", "90s", "HH:MM:SS" or "none"; None for the limit of the SLURM job, if there is one.
        round_timeout: seconds; the job is ended if a round takes longer.
        threads: of each rank; None for its share of the cores, or one if its workers have little work.

    Raises:
        Fault: what the command prints; on every rank the same. A run that diverged or was interrupted is a result, and
            no fault. A rank that alone has a fault, as of its workers, ends the job.
    """
    if threading.current_thread() is not threading.main_thread():
        raise SetupFault("mpirobust.run works in the main thread only, because signals end a run")
    comm = _processes()

    def requested() -> RunRequest:
        if resume and overwrite:
            raise PlanFault("overwrite", "it excludes resume")
        if not (round_timeout is None or (isinstance(round_timeout, int | float) and round_timeout > 0)):
            raise PlanFault("round_timeout", f"expected a positive number of seconds, not {round_timeout!r}")
        ends, limit = _limit(time_limit)
        return RunRequest(
            plan=as_plan(plan),
            out=None if out is None else arguments.path(out, "out"),
            resume=resume,
            overwrite=overwrite,
            quiet=quiet,
            ends=ends,
            limit=limit,
            threads=None if threads is None else arguments.whole(threads, "threads", least=1),
        )

    with _failing_together(comm), threadpool_limits(limits=1):  # a run limits them for good
        request = comm.all_or_fail(requested)
        _, folder = experiment.run_in_time(request, comm, round_timeout)
        return comm.all_or_fail(lambda: open_run(folder))


def _limit(time_limit: object) -> tuple[float | None, str]:
    """Return the end of a time limit and its origin, as `RunRequest` has them; raise `PlanFault` if it is none."""
    text = None if time_limit is None else str(time_limit)
    try:
        return end_of(text), origin_of(text)
    except ValueError as error:
        raise PlanFault("time_limit", str(error)) from error


@cache
def _processes() -> Communicator:
    """Return the processes of this job."""
    comm = open_communicator()
    meet(comm)
    return comm


@contextmanager
def _failing_together(comm: Communicator) -> Iterator[None]:
    """Raise the same fault on every rank; end the job if this rank fails alone: the others would wait for ever."""
    try:
        yield
    except BaseException as error:
        if comm.size == 1:
            raise
        if isinstance(error, WorkerFault) or not isinstance(error, Fault):
            code = error.code if isinstance(error, Fault) else Exit.INTERNAL
            say(f"mpirobust: {comm.label}{error if isinstance(error, Fault) else traceback.format_exc()}")
            comm.abort(code)
            os._exit(code)
        fault = error if comm.survives else _of_all(comm, error)  # after a rank failure not all may come here
        if isinstance(error, ReportedFault):
            raise fault from None
        raise


def _of_all(comm: Communicator, fault: Fault) -> Fault:
    """Return on every rank the fault that one of them has; each calls this with its own, which may be `ReportedFault`.

    A class that is not of `errors` becomes the nearest base that is: it may be unknown to the other ranks.
    """
    mine = b""
    if not isinstance(fault, ReportedFault):
        name = next(cls.__name__ for cls in type(fault).__mro__ if cls.__module__ == errors.__name__)
        said = [fault.where, fault.reason] if isinstance(fault, PlanFault) else [str(fault)]
        mine = json.dumps([name, *said]).encode()
    name, *said = json.loads(comm.broadcast_bytes(next(filter(None, comm.gather_bytes(mine)), b"")))
    cls: type[Fault] = getattr(errors, name)
    return cls(*said)
