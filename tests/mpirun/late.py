"""`mpirobust` with a rank 1 that is stopped in its last reduction before the rounds, where the center comes late.

    mpirun ... python late.py NOTES run plan.toml ...

NOTES is a folder that the ranks share: `rank-1` holds the number of the stopped process, and when the center has gone
on, `center` is there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Timer
from typing import Any

from mpirobust import cli
from mpirobust.commands import job
from tests.support.instants import note_code_on_leaving, note_pid, rank, replace, state_of, wait_for

_LAST = 4  # of the reductions before the rounds


def main() -> None:
    notes, arguments = Path(sys.argv[1]), sys.argv[2:]
    job.processes()  # as a command starts MPI
    from mpirobust.comm.mpi import MpiCommunicator
    from mpirobust.running import root

    begin, minimum, calls = root.begin, MpiCommunicator.minimum, list[int]()

    def late(*given: Any) -> Any:
        wait_for((notes / "rank-1").exists)
        wait_for(lambda: state_of((notes / "rank-1").read_text()) == "T")
        (notes / "center").touch()
        return begin(*given)

    def stop() -> None:
        note_pid(notes)
        os.kill(os.getpid(), signal.SIGSTOP)

    def stopping(self: MpiCommunicator, value: int) -> int:
        calls.append(value)
        if len(calls) == _LAST:
            Timer(0.5, stop).start()  # what it gives to the reduction is sent by then
        return minimum(self, value)

    if rank() == "0":
        replace(root, "begin", late)
    if rank() == "1":
        replace(MpiCommunicator, "minimum", stopping)
    note_code_on_leaving(notes, 3)
    sys.argv = ["mpirobust", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
