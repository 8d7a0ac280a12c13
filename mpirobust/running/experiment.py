"""Plan + processes -> a run, new or resumed. The one place that branches on center and worker."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mpirobust.cluster.connect import connect
from mpirobust.cluster.placement import assign_workers
from mpirobust.cluster.worker_loop import serve
from mpirobust.comm.communicator import Communicator
from mpirobust.errors import Exit, ReportedFault
from mpirobust.numerics import blas, threads
from mpirobust.running.ranks import RankFacts, facts, with_threads
from mpirobust.running.setup import RankSetup, RunRequest, RunSetup, build_rank
from mpirobust.running.stop_signals import StopSignals
from mpirobust.running.watchdog import Watchdog
from mpirobust.terminal import quietly
from mpirobust.time_limit import expect_time

_ENDS = {Exit.OK, Exit.DIVERGED, Exit.INTERRUPTED, Exit.LOST}  # the codes of a run that ended, one way or another


def run_in_time(request: RunRequest, comm: Communicator, patience: float | None = None) -> tuple[int, Path]:
    """Do `run` with signals noted, and with a watchdog for the time limit of the request.

    Args:
        patience: as in `Watchdog`.
    """
    ends, limit = request.ends, request.limit
    comm.all_or_fail(lambda: expect_time(ends, limit) if comm.is_root else None)
    with StopSignals() as signals, Watchdog(comm, signals, ends, patience) as watchdog:
        return run(request, comm, signals, watchdog)


def run(
    request: RunRequest, comm: Communicator, signals: StopSignals | None = None, watchdog: Watchdog | None = None
) -> tuple[int, Path]:
    """Run or resume on all ranks; return the exit code and the folder of the output.

    Args:
        signals: an active context that notes signals; None to enter one here.
        watchdog: an active context that ends the job if it hangs; None for none.

    Raises:
        Fault: see `errors`; one rank raises the message and the others `ReportedFault`.
    """
    blas.limit_threads()
    # Overflow is no error of NumPy's here: it is reported as the status DIVERGED.
    with (
        nullcontext(signals) if signals else StopSignals() as signals,
        np.errstate(over="ignore", invalid="ignore"),
        quietly(notes=request.quiet, progress=request.quiet and not request.label),
    ):
        hosts = [] if request.quiet else comm.gather_bytes(os.fsencode(platform.node()))  # for a line that is printed
        setup = RunSetup(**json.loads(comm.on_root(lambda: _prepared(request, comm.size, len({*hosts}), signals))))
        watchdog = watchdog or Watchdog(comm, signals)
        placement = assign_workers(setup.plan["workers"], comm.size)
        rank_setup = comm.all_or_fail(lambda: _built(setup, placement[comm.rank], comm.survives, signals))
        cluster = comm.all_or_fail(lambda: connect(comm, rank_setup.group, placement))
        kernels = blas.limit_threads()  # also of the libraries that the kinds of the plan have loaded
        told = comm.gather_bytes(facts(comm.number, request, kernels, rank_setup.group.works()))
        ranks = [RankFacts(**json.loads(each)) for each in told if comm.is_root]
        ranks = with_threads(ranks, setup.threads)
        threads.use(setup.threads or _threads(comm, ranks))
        if cluster is None:
            comm.all_or_fail(lambda: None)  # the counterpart of the root's `begin` below: all wait for its outcome
            code = serve(comm, rank_setup.group, placement, watchdog.feed)
            if code not in _ENDS:
                raise ReportedFault(code)
            return code, Path(setup.folder)

        from mpirobust.running import root

        start = comm.all_or_fail(lambda: root.begin(setup, rank_setup, comm.versions(), ranks))
        watchdog.ranks = ranks
        with start.lock:
            code = root.run_rounds(setup, rank_setup, cluster, lambda: signals.asked, start, watchdog)
            return code, Path(setup.folder)


def _threads(comm: Communicator, ranks: Sequence[RankFacts]) -> int:
    """Return the number of threads that the root has chosen for this rank."""
    chosen: list[int] = json.loads(comm.broadcast_bytes(json.dumps([rank.threads for rank in ranks]).encode()))
    return chosen[comm.rank]


def _prepared(request: RunRequest, size: int, hosts: int, signals: StopSignals) -> bytes:
    from mpirobust.running import root  # only the root needs it: the start-up of many ranks stays cheap

    signals.end_if_asked()
    prepared = root.prepare(request, size, signals.end_if_asked, hosts)
    signals.end_if_asked()
    return json.dumps(asdict(prepared)).encode()


def _built(setup: RunSetup, mine: Sequence[int], survives: bool, signals: StopSignals) -> RankSetup:
    signals.end_if_asked()
    built = build_rank(setup, mine, survives, signals.end_if_asked)
    signals.end_if_asked()
    return built
