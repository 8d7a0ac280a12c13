"""A recovery in which rank 1 is a second late when it leaves the shrink.

    mpirun ... python late_in_shrink.py NOTES

Rank 2 dies. Each survivor writes NOTES/RANK: the seconds (of one clock) when it left the shrink and when it left
`Recovery.recover`.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpirobust.comm.communicator import CommunicatorRevoked
from mpirobust.comm.launch import meet, open_communicator
from tests.support.instants import die, rank


def main() -> None:
    comm: Any = open_communicator()
    meet(comm)
    from mpi4py import MPI

    left = []

    class Late(MPI.Intracomm):
        def Shrink(self) -> Any:  # noqa: N802
            shrunk = super().Shrink()
            time.sleep(rank() == "1")
            left.append(time.monotonic())
            return shrunk

    if rank() == "2":
        die()
    recovery = comm._recovery
    with suppress(CommunicatorRevoked), recovery.guard():
        while True:
            recovery.comm.Barrier()
    recovery.comm = Late(recovery.comm)
    recovery.recover()
    left.append(time.monotonic())
    (Path(sys.argv[1]) / rank()).write_text(f"{left[0]} {left[1]}")
    os._exit(0)  # as a command does after a rank failure: MPI_Finalize may hang


if __name__ == "__main__":
    main()
