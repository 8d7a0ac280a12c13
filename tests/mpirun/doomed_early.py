"""`mpirobust` with a rank that dies before the first round.

    mpirun ... python doomed_early.py NOTES INSTANT RANK run plan.toml ...

NOTES is a folder that the ranks share.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from mpirobust import cli
from mpirobust.commands import job
from tests.support.instants import die, rank, replace, wait_for


class Deadly:
    """The import of the first module that only a run needs is the end."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "mpirobust.running.setup":
            die()


def before_mpi_starts(doomed: bool) -> None:
    from mpirobust.comm import launch

    replace(launch, "_START_SECONDS", 3)
    if doomed:
        die()


def in_the_first_call(doomed: bool) -> None:
    """Those that live are not told: their call does not return."""
    from mpirobust.comm import launch
    from mpirobust.comm.mpi import MpiCommunicator

    replace(launch, "_START_SECONDS", 3)
    replace(MpiCommunicator, "minimum", lambda *_: die() if doomed else ctypes.CDLL(None).sleep(600))


def while_the_center_restores(notes: Path, doomed: str) -> None:
    """The center dies behind its last step before the rounds; or in it waits until MPI knows of a rank's death.

    The kernel knows sooner; the death would then be one of the first round.
    """
    from mpi4py import MPI

    from mpirobust.comm.mpi import MpiCommunicator
    from mpirobust.running import root

    begin = root.begin

    def last(*arguments: Any) -> None:
        begin(*arguments)
        die()

    def waiting(*arguments: Any) -> Any:
        (notes / "center").touch()
        with suppress(MPI.Exception):
            MPI.COMM_WORLD.Recv(bytearray(1), source=int(doomed))
        return begin(*arguments)

    if rank() == "0":
        replace(root, "begin", last if doomed == "0" else waiting)
    elif rank() == doomed:
        replace(MpiCommunicator, "gather", dying_soon(MpiCommunicator.gather, notes))


def dying_soon(method: Callable[..., Any], notes: Path) -> Callable[..., Any]:
    def watch() -> None:
        wait_for((notes / "center").exists)
        die()

    def call(*arguments: Any) -> Any:
        Thread(target=watch, daemon=True).start()
        return method(*arguments)

    return call


def main() -> None:
    notes, instant, doomed, *arguments = sys.argv[1:]
    sys.argv = ["mpirobust", *arguments]
    mine = rank() == doomed
    if instant == "before MPI starts":
        before_mpi_starts(mine)
    elif instant == "in the first call":
        in_the_first_call(mine)
    elif instant == "while it imports":
        if mine:
            sys.meta_path.insert(0, Deadly())
    else:
        job.processes()  # as a command starts MPI
        from mpirobust.running import setup

        match instant:
            case "when MPI has started":
                if mine:
                    die()
            case "while it assembles":
                if mine:
                    replace(setup, "build_workers", die)
            case "while the center restores":
                while_the_center_restores(Path(notes), doomed)
            case _:
                raise ValueError(instant)
    cli.main()


if __name__ == "__main__":
    main()
