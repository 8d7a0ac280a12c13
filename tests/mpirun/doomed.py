"""`mpirobust` with ranks that die at a chosen instant of a run.

    mpirun ... python doomed.py NOTES INSTANT ROUND RANKS run plan.toml ...

NOTES is a folder that the ranks share; ROUND is that of the instant, from 0; RANKS are numbers with commas between.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from mpirobust import cli
from mpirobust.commands import job
from tests.support.instants import die, is_dead, note_pid, rank, replace, wait_for

_PAUSE = 0.2  # seconds; what a rank has sent before its end may be under way still, which most often changes nothing


@dataclass
class Clock:
    """When it is in a rank: the round of its last reply, -1 before the first, and the calls that count since then."""

    round: int = -1
    calls: int = 0


def dies(owner: Any, name: str, count: int, after: int) -> None:
    """This rank dies instead of the call of `owner.name` number `count` since the reply of round `after` began."""
    from mpirobust.cluster.worker_group import WorkerGroup

    clock, method, reply = Clock(), getattr(owner, name), WorkerGroup.reply

    def replying(*arguments: Any) -> Any:
        clock.round, clock.calls = arguments[1], 0
        return reply(*arguments)

    def counted(*arguments: Any, **named: Any) -> Any:
        clock.calls += 1
        if (clock.round, clock.calls) == (after, count):
            time.sleep(_PAUSE)
            die()
        return method(*arguments, **named)

    replace(WorkerGroup, "reply", replying)
    replace(owner, name, counted)


def dies_when_the_center_waits(notes: Path) -> None:
    """This rank goes on until the center waits for its death."""

    def watch() -> None:
        wait_for((notes / "center").exists)
        die()

    note_pid(notes)
    Thread(target=watch, daemon=True).start()


def waits(owner: Any, name: str, count: int, notes: Path, doomed: list[str]) -> None:
    """The center waits in the call of `owner.name` number `count` until the doomed ranks are dead."""
    clock, method = Clock(), getattr(owner, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        clock.calls += 1
        if clock.calls == count:
            (notes / "center").touch()
            wait_for(lambda: all(is_dead(notes, each) for each in doomed))
        return method(*arguments, **named)

    replace(owner, name, counted)


def doom(instant: str, round: int, notes: Path, first: str) -> None:
    """Prepare this rank's end."""
    from mpirobust.cluster.worker import Worker
    from mpirobust.cluster.worker_group import WorkerGroup
    from mpirobust.comm.mpi import MpiCommunicator

    match instant:
        case "before the broadcast":
            dies(MpiCommunicator, "broadcast", 1, after=round - 1)
        case "while it computes":
            dies(Worker, "reply", 3, after=round)
        case "during recovery":  # from the death of the first of them
            if rank() == first:
                dies(Worker, "reply", 3, after=round)
            else:
                replace(MpiCommunicator, "recover", die)
        case "between lengths and messages":
            dies(MpiCommunicator, "gather", 2, after=round)
        case "while the center aggregates" | "while the center writes":
            dies_when_the_center_waits(notes)
        case "in an audit":
            dies(MpiCommunicator, "sum_to_root", 1, after=round)
        case "in a Hessian product":
            dies(WorkerGroup, "hessian_products", 1, after=round)
        case "amid Hessian products":
            dies(WorkerGroup, "hessian_products", 2, after=round)
        case "while residuals are saved":
            dies(MpiCommunicator, "send", 3, after=round)
        case "before the dismissal":  # the center has told of an audit and of residuals since the last reply
            dies(MpiCommunicator, "broadcast", 3, after=round)
        case "at the dismissal":
            dies(MpiCommunicator, "confirm", 1, after=round)
        case _:
            raise ValueError(instant)


def prepare_center(instant: str, round: int, notes: Path, doomed: list[str]) -> None:
    """Where the center has to wait for others to die meanwhile; or its own end."""
    from mpirobust.aggregators.norm_trim import NormTrim
    from mpirobust.records import checkpoint

    if "0" in doomed:
        dies(NormTrim, "judge", round + 1, after=-1)
    elif instant == "while the center aggregates":
        waits(NormTrim, "judge", round + 1, notes, doomed)
    elif instant == "while the center writes":
        waits(checkpoint, "write_sealed", 1, notes, doomed)


def main() -> None:
    notes, instant, round, ranks, *arguments = sys.argv[1:]
    job.processes()  # as a command starts MPI
    doomed = ranks.split(",")
    if rank() == "0":
        prepare_center(instant, int(round), Path(notes), doomed)
    elif rank() in doomed:
        doom(instant, int(round), Path(notes), doomed[0])
    sys.argv = ["mpirobust", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
