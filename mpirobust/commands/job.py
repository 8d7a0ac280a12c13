"""The processes of this job."""

from __future__ import annotations

from mpirobust.comm.communicator import Communicator
from mpirobust.comm.launch import launched_as, meet, open_communicator
from mpirobust.errors import SetupFault
from mpirobust.terminal import tell

opened: Communicator | None = None
refusals: list[str] = []  # of options, on rank 0, to be raised when all ranks are there: the others would wait for it


def is_one_of_many() -> bool:
    """Return whether a launcher has started several processes."""
    launched = launched_as()
    return launched is not None and launched[0] > 1


def processes() -> Communicator:
    """Return the processes of this job.

    A command calls this before it imports more: a rank failure is detected from then on.
    """
    global opened
    if opened is None:
        if (launched := launched_as()) is not None and launched[0] > 1 and launched[1] == 0:
            tell(f"starting {launched[0]} ranks")  # they will have met after some seconds, or many
        opened = open_communicator()
        meet(opened)
        opened.all_or_fail(_expect_no_refusal)
    return opened


def _expect_no_refusal() -> None:
    if refusals:
        raise SetupFault(refusals.pop())
