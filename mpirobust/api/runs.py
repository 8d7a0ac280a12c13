"""Runs: started from Python, and opened, while they go on or afterwards."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mpirobust.api.plans import load_plan
from mpirobust.comm.communicator import Communicator
from mpirobust.comm.launch import meet, open_communicator
from mpirobust.errors import Exit, Fault, SetupFault, WorkerFault
from mpirobust.files import expanded
from mpirobust.plan import Plan
from mpirobust.records.tables import LATER, open_trace, types
from mpirobust.reports.summary import figures_of, trace_at
from mpirobust.running import experiment
from mpirobust.running.setup import RunRequest
from mpirobust.terminal import say
from mpirobust.time_limit import end_of, origin_of

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Run:
    """A run as its file was when it was opened; open it again to see how it went on.

    Attributes:
        path: of its run.h5.
        status: `running` (or killed: `summary["writer"]` tells), `finished`, `converged`, `diverged`, `interrupted`,
            `lost`.
        summary: what `mpirobust inspect --json` says.
        plan: the effective plan as a table, for `load_plan`.
        x: the iterate after the last round that was written, shape (d,), float64.
        rounds: the columns of the table of rounds, one entry for each round, the first being round 1. `norms`, `kept`,
            `absent` and `reset` have shape (rounds, workers). docs/FORMAT.md describes the columns.
        audits: the columns of the table of audits, one entry for each audit; `round` is that after which it was made.
        byzantine: the numbers of the Byzantine workers, int64, ascending.
    """

    path: Path
    status: str
    summary: Mapping[str, Any] = field(repr=False)
    plan: Mapping[str, Any] = field(repr=False)
    x: NDArray[np.float64] = field(repr=False)
    rounds: Mapping[str, NDArray[Any]] = field(repr=False)
    audits: Mapping[str, NDArray[Any]] = field(repr=False)
    byzantine: NDArray[np.int64] = field(repr=False)

    def table(self) -> pandas.DataFrame:
        """Return one row for each round from 0, the starting point, as a data frame of pandas.

        It has the columns of `rounds`, in row 0 zero, and of `audits`, NaN in rounds without one. In place of those
        with an entry for each worker there are the numbers of workers `kept`, `byzantine_kept`, `absent` and `reset`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ModuleNotFoundError(f"table() needs pandas ({error}): pip install 'mpirobust[pandas]'") from error
        columns = {name: column for name, column in self.rounds.items() if column.ndim == 1}
        columns |= {name: self.rounds[name].sum(axis=1) for name in ("kept", "absent", "reset")}
        columns["byzantine_kept"] = self.rounds["kept"][:, self.byzantine].sum(axis=1)
        with_start = {name: np.concatenate([np.zeros(1, column.dtype), column]) for name, column in columns.items()}
        audits = pandas.DataFrame(dict(self.audits)).set_index("round")
        return pandas.DataFrame(with_start).set_index("round").join(audits)


def open_run(path: str | PathLike[str]) -> Run:
    """Return the run at `path`, a run.h5 or its folder; one that still goes on as it was last written.

    Nothing is imported because the file names it, and nothing is locked.

    Raises:
        SetupFault: there is no run, or the file is damaged.
    """
    found = trace_at(expanded(fspath(path)))
    with open_trace(found) as file:
        summary = figures_of(file, found)
        tables = {name: _columns(file[name], row) for name, row in types(summary["workers"]).items()}
        return Run(
            path=found,
            status=summary["status"],
            summary=summary,
            plan=summary["plan"],
            x=file["model/x"][:],
            **tables,
            byzantine=file["workers/byzantine"][:],
        )


def _columns(table: Any, row: np.dtype[np.void]) -> dict[str, NDArray[Any]]:
    """Return the columns of a table; those that a file of an earlier version lacks have the value for this case."""
    length = len(table["round"])
    return {
        name: table[name][:] if name in table else np.full((length, *row[name].shape), LATER[name], row[name].base)
        for name in row.names or ()
    }


def run(
    plan: Plan | str | PathLike[str],
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
        plan: a plan, or its file.
        out: the folder of the output; None for the first of `runs/NAME`, `runs/NAME-2`, ... without a run.
        resume, overwrite: whether to continue or to replace the run in this folder.
        quiet: whether to print no notes and no progress on standard error.
        time_limit: "4h", "30m", "90s", "HH:MM:SS" or "none"; None for the limit of the SLURM job, if there is one.
        round_timeout: seconds; the job is ended if a round takes longer.
        threads: of each rank; None for its share of the cores, or one if its workers have little work.

    Raises:
        Fault: what the command prints, on one rank; on the others `ReportedFault`. A run that diverged or was
            interrupted is a result, and no fault. A rank that alone has a fault, as of its workers, ends the job.
        ValueError: `time_limit` is no time limit.
    """
    if threading.current_thread() is not threading.main_thread():
        raise SetupFault("mpirobust.run works in the main thread only, because signals end a run")
    if resume and overwrite:
        raise ValueError("resume and overwrite exclude each other")
    comm = _processes()
    request = RunRequest(
        plan=comm.all_or_fail(lambda: plan if isinstance(plan, Plan) else load_plan(plan)),
        out=None if out is None else expanded(fspath(out)),
        resume=resume,
        overwrite=overwrite,
        quiet=quiet,
        ends=end_of(time_limit),
        limit=origin_of(time_limit),
        threads=threads,
    )
    with _ending_all(comm), threadpool_limits(limits=1):  # a run limits them for good
        _, folder = experiment.run_in_time(request, comm, round_timeout)
        return comm.all_or_fail(lambda: open_run(folder))


@cache
def _processes() -> Communicator:
    """Return the processes of this job."""
    comm = open_communicator()
    meet(comm)
    return comm


@contextmanager
def _ending_all(comm: Communicator) -> Iterator[None]:
    """End the job if this rank alone fails inside, as the command does: the other ranks would wait for ever."""
    try:
        yield
    except BaseException as error:
        alone = isinstance(error, WorkerFault) or not isinstance(error, Fault)
        if alone and comm.size > 1:
            code = error.code if isinstance(error, Fault) else Exit.INTERNAL
            say(f"mpirobust: {comm.label}{error if isinstance(error, Fault) else traceback.format_exc()}")
            comm.abort(code)
            os._exit(code)
        raise
