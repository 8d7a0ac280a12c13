"""The faults, and the exit code of the job for each (table in docs/RUNNING.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every `mpirobust` command; the same on every rank."""

    OK = 0
    INTERNAL = 1  # a bug: a traceback is printed
    SETUP = 2  # plan, data, arguments or ranks: nothing was computed
    DIVERGED = 3  # numbers are no longer finite, or the loss at the end is absurd; the trace is whole
    WORKER = 4  # a rank failed inside a round; the job was aborted
    STORAGE = 5  # a file could not be written, or there is not enough memory
    LOST = 6  # more ranks failed than the run may lose, or one hangs; --resume continues with all of them
    ALARM = 14  # under ULFM: MPI did not start, or not all ranks learned of the end, in time (SIGALRM)
    INTERRUPTED = 75  # a signal or the time limit ended the run after a checkpoint; --resume continues it
    ABANDONED = 130  # a second Ctrl-C: ended at once, without another checkpoint


class Fault(Exception):
    """A named failure: one message for the user, no traceback."""

    code = Exit.INTERNAL


class SetupFault(Fault):
    """The plan, the data or the launch is wrong; nothing was computed."""

    code = Exit.SETUP


class PlanFault(SetupFault, ValueError):
    """A key of the plan, or of a component, is wrong, or the argument of a public function.

    `where` is the dotted key, as `--set` spells it, or the argument.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where = where
        self.reason = reason


@contextmanager
def inside(table: str) -> Iterator[None]:
    """Add the table to the faults of a component, which has only its own keys."""
    try:
        yield
    except PlanFault as fault:
        raise PlanFault(f"{table}.{fault.where}", fault.reason) from fault


class DataFault(SetupFault):
    """A data file is missing or malformed."""


class WorkerFault(Fault):
    """A worker of this rank raised; the other ranks do not know of it. `worker` is its number."""

    code = Exit.WORKER

    def __init__(self, worker: int, message: str) -> None:
        super().__init__(f"worker {worker} {message}")
        self.worker = worker


class RankFault(Fault):
    """A rank failed and the run cannot continue without it; another start has all ranks again."""

    code = Exit.LOST


class Interrupted(Fault):
    """A signal or the time limit came before the first round."""

    code = Exit.INTERRUPTED


class StorageFault(Fault):
    """A file cannot be written or read, or there is not enough memory; the files from before are unchanged."""

    code = Exit.STORAGE


class ReportedFault(Fault):
    """Another rank prints the message; end silently with its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__("another rank says what is wrong")
        self.code = Exit(code)


class Malformed(ValueError):
    """A message does not encode any finite vector of the expected length."""
