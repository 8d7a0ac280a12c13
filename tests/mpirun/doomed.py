"""`mpirobust` with ranks that die at a chosen instant of a run.

    mpirun ... python doomed.py INSTANT ROUND RANKS run plan.toml ...

ROUND is that of the instant, from 0; RANKS are numbers with commas between them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from threading import Timer
from typing import Any

from mpirobust import cli


@dataclass
class Clock:
    """When it is in a rank: the round of its last reply, -1 before the first, and the calls that count since then."""

    round: int = -1
    calls: int = 0


def die() -> None:
    time.sleep(1.0)  # what it has sent before may be under way still
    os.kill(os.getpid(), signal.SIGKILL)


def dies(owner: Any, name: str, count: int, after: int) -> None:
    """This rank dies instead of the call of `owner.name` number `count` since the reply of round `after` began."""
    from mpirobust.cluster.worker_group import WorkerGroup

    clock, method, reply = Clock(), getattr(owner, name), WorkerGroup.reply

    def replying(*arguments: Any) -> Any:
        clock.round, clock.calls = arguments[1], 0
        return reply(*arguments)

    def counted(*arguments: Any) -> Any:
        clock.calls += 1
        if (clock.round, clock.calls) == (after, count):
            die()
        return method(*arguments)

    replace(WorkerGroup, "reply", replying)
    replace(owner, name, counted)


def dies_soon(after: int) -> None:
    """This rank dies half a second after the reply of round `after` began."""
    from mpirobust.cluster.worker_group import WorkerGroup

    reply = WorkerGroup.reply

    def replying(*arguments: Any) -> Any:
        if arguments[1] == after:
            Timer(0.5, die).start()
        return reply(*arguments)

    replace(WorkerGroup, "reply", replying)


def sleeps(owner: Any, name: str, count: int) -> None:
    """This rank takes three seconds more for the call of `owner.name` number `count`."""
    clock, method = Clock(), getattr(owner, name)

    def counted(*arguments: Any) -> Any:
        clock.calls += 1
        if clock.calls == count:
            time.sleep(3.0)
        return method(*arguments)

    replace(owner, name, counted)


def replace(owner: Any, name: str, by: Any) -> None:
    setattr(owner, name, by)


def doom(instant: str, round: int) -> None:
    """Prepare this rank's end."""
    from mpirobust.cluster.worker import Worker
    from mpirobust.cluster.worker_group import WorkerGroup
    from mpirobust.comm.mpi import MpiCommunicator

    match instant:
        case "before the broadcast":
            dies(MpiCommunicator, "broadcast", 1, after=round - 1)
        case "while it computes":
            dies(Worker, "reply", 3, after=round)
        case "between lengths and messages":
            dies(MpiCommunicator, "gather", 2, after=round)
        case "while the center aggregates" | "while the center writes":
            dies_soon(after=round)
        case "in an audit":
            dies(WorkerGroup, "gradients", 1, after=round)
        case "in a Hessian product":
            dies(WorkerGroup, "hessian_products", 1, after=round)
        case "while residuals are saved":
            dies(MpiCommunicator, "send", 3, after=round)
        case "before the dismissal":  # the center has told of an audit and of residuals since the last reply
            dies(MpiCommunicator, "broadcast", 3, after=round)
        case "at the dismissal":
            dies(MpiCommunicator, "confirm", 1, after=round)
        case _:
            raise ValueError(instant)


def prepare_center(instant: str, round: int, doomed: bool) -> None:
    """Where the center has to be slow for others to die meanwhile; or its own end."""
    from mpirobust.aggregators.norm_trim import NormTrim
    from mpirobust.records import checkpoint

    if doomed:
        dies(NormTrim, "judge", round + 1, after=-1)
    elif instant == "while the center aggregates":
        sleeps(NormTrim, "judge", round + 1)
    elif instant == "while the center writes":
        sleeps(checkpoint, "write_sealed", 1)


def main() -> None:
    instant, round, ranks, *arguments = sys.argv[1:]
    cli._comm()  # as a command starts MPI
    rank = os.environ["OMPI_COMM_WORLD_RANK"]
    doomed = rank in ranks.split(",")
    if rank == "0":
        prepare_center(instant, int(round), doomed)
    elif doomed:
        doom(instant, int(round))
    sys.argv = ["mpirobust", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
