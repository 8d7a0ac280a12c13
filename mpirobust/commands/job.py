"""The processes of this job."""

from __future__ import annotations

from mpirobust.comm.communicator import Communicator
from mpirobust.comm.launch import meet, open_communicator

opened: Communicator | None = None


def processes() -> Communicator:
    """Return the processes of this job.

    A command calls this before it imports more: a rank failure is detected from then on.
    """
    global opened
    if opened is None:
        opened = open_communicator()
        meet(opened)
    return opened
