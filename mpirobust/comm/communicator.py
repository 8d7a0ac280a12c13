"""Buffer collectives between the root and all ranks, with recovery from rank failure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import Exit, Fault, RankFault, ReportedFault, StorageFault

T = TypeVar("T")

_CODES = 256  # exit codes are below this


class CommunicatorRevoked(Exception):
    """The communicator is unusable: call `Communicator.recover` next.

    Causes: a rank failed, a worker was reported, the root is ending, or a `Communicator.confirm` was not complete.
    """


@dataclass(frozen=True)
class Survivors:
    """The ranks that go on after a recovery.

    Attributes:
        ranks: their former ranks, ascending; the new rank is the position in this sequence.
        failed_ranks: the launcher's numbers of the ranks that failed.
        failed_worker: a worker that its rank cannot go on with; None if none was reported.
    """

    ranks: Sequence[int]
    failed_ranks: Sequence[int] = ()
    failed_worker: int | None = None


class Communicator(ABC):
    """The processes of one job, or of a communicator of another program, numbered from 0, the root.

    Collective calls: all ranks make them in the same order.
    There are two layers. The *buffer calls* are those of a round. If a rank fails, each of them but
    `report_failed_worker` and `recover` raises `CommunicatorRevoked`: not always on all ranks in the same call, but on
    each in this or a later one, so that all ranks reach `recover`. The calls on *bytes and faults* are for set-up and
    the end. If a rank fails in one of these, no work is lost: all survivors raise, `RankFault` on the root and
    `ReportedFault` elsewhere.
    An MPI library that does not survive a rank failure ends the job instead.

    Attributes:
        rank: the number of this process; recovery changes it.
        size: the number of processes; recovery changes it.
        number: the launcher's number of this process, or that in the program's communicator; never changes.
        numbers: the same of all ranks, in rank order; recovery changes it.
        survives: whether the MPI library survives a rank failure.
    """

    rank: int
    size: int
    number: int
    numbers: Sequence[int]
    survives: bool

    # Buffer calls

    @abstractmethod
    def broadcast(self, buffer: NDArray[Any]) -> None:
        """Copy the root's buffer into the buffer of every rank."""

    @abstractmethod
    def gather(
        self,
        mine: NDArray[Any],
        into: NDArray[Any] | None = None,
        counts: NDArray[Any] | None = None,
        most: int = 0,
    ) -> None:
        """Collect the items of all ranks at the root, in rank order.

        Args:
            mine: what this rank sends.
            into, counts: the receive buffer and the number of items that each rank sends; ignored but on the root.
            most: a bound on the items of all ranks together, the same on all, if they may be too many for one call.
        """

    @abstractmethod
    def gather_to_all(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[Any]) -> None:
        """Collect the items of all ranks on every rank, in rank order.

        Args:
            mine: what this rank sends.
            into, counts: the receive buffer and the number of items that each rank sends, the same on all.
        """

    @abstractmethod
    def sum_to_root(self, parts: NDArray[np.int64]) -> None:
        """Replace `parts` on the root by the sum over all ranks. Integers only, so that no order changes the sum."""

    @abstractmethod
    def minimum(self, value: int) -> int:
        """Return the minimum over all ranks, on all ranks."""

    @abstractmethod
    def send(self, vector: NDArray[Any]) -> None:
        """Send a vector to the root."""

    @abstractmethod
    def receive(self, vector: NDArray[Any], rank: int) -> None:
        """On the root: receive into `vector` what `rank` sends."""

    @abstractmethod
    def confirm(self) -> None:
        """Agree that the preceding call succeeded on all survivors.

        Raises:
            CommunicatorRevoked: on all of them, if it failed on any.
        """

    @abstractmethod
    def report_failed_worker(self, worker: int) -> None:
        """Interrupt all ranks because `worker` failed here; all then call `recover`. Only if `survives`."""

    @abstractmethod
    def recover(self) -> Survivors:
        """Continue with the survivors: `rank` and `size` are renumbered.

        Never reuse the buffers of the call that failed: the library may still write to them.

        Raises:
            RankFault: the root of a job failed; on one survivor, `ReportedFault` on the others.
            ReportedFault: the root is ending, with its exit code.
        """

    # Parts of a job

    @abstractmethod
    def divided(self, size: int) -> tuple[Communicator, int]:
        """Return the communicator of the part of the ranks that this one is in, and its number, from 0.

        Collective, for set-up. A part has `size` ranks that follow each other, the last one those that are left. The
        parts are independent of each other: each has a root, and what fails in one interrupts no other.
        """

    def join(self) -> None:
        """Return when all ranks have called this, on those that have not failed meanwhile.

        Raises:
            RankFault, ReportedFault: as `recover`.
        """
        while True:
            try:
                self.minimum(0)
                self.confirm()
            except CommunicatorRevoked:
                self.recover()
            else:
                return

    # The end of a process

    @abstractmethod
    def abort(self, code: int) -> None:
        """End the whole job now. If ranks survive a failure, a rank other than the root ends alone."""

    @abstractmethod
    def leave(self, code: int) -> NoReturn:
        """End this process after all work is done; every rank calls it."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the MPI library and its binding, for the record."""

    # Bytes and faults, in terms of the buffer calls

    @property
    def active(self) -> bool:
        """False from a rank failure until `recover` has returned."""
        return True

    @property
    def is_root(self) -> bool:
        """True if this process is the root."""
        return self.rank == 0

    @property
    def label(self) -> str:
        """The prefix of a message that only this rank prints; '' if there is only one rank."""
        return f"rank {self.number}: " if self.size > 1 else ""

    def broadcast_bytes(self, data: bytes) -> bytes:
        """Return the root's `data` on every rank."""
        with self.outside_rounds():
            length = np.array([len(data)], np.int64)
            self.broadcast(length)
            buffer = np.frombuffer(bytearray(data) if self.is_root else bytearray(int(length[0])), np.uint8)
            self.broadcast(buffer)
        return buffer.tobytes()

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """Return the `data` of every rank, in rank order; meaningful on the root only."""
        lengths = np.zeros(self.size, np.int64)
        with self.outside_rounds():
            self.gather(np.array([len(data)], np.int64), lengths, np.ones(self.size, np.int64))
            buffer = np.empty(int(lengths.sum()), np.uint8)
            self.gather(np.frombuffer(data, np.uint8), buffer, lengths)
        cuts = np.concatenate(([0], np.cumsum(lengths)))
        return [buffer[start:stop].tobytes() for start, stop in pairwise(cuts)]

    def first_failure(self, code: int) -> tuple[int, int]:
        """Return the lowest rank whose `code` is not 0, and its code; `(0, 0)` if all are 0."""
        with self.outside_rounds():  # rank and code in one number: the minimum is that of the lowest rank that failed
            lowest = self.minimum(self.rank * _CODES + code if code else self.size * _CODES)
        rank, code = divmod(lowest, _CODES)
        return (rank, code) if code else (0, 0)

    def all_or_fail(self, work: Callable[[], T]) -> T:
        """Do `work` on every rank and continue only if it succeeded on all.

        Raises:
            Fault: of this rank, if it is the lowest that failed.
            ReportedFault: with the same code, on every other rank.
        """
        fault: Fault | None = None
        try:
            result = work()
        except Fault as error:
            fault = error
        except MemoryError as error:
            fault = StorageFault(f"not enough memory: {error}")
        rank, code = self.first_failure(fault.code if fault else 0)
        if code == 0:
            return result
        raise fault if fault and rank == self.rank else ReportedFault(code)

    def on_root(self, work: Callable[[], bytes]) -> bytes:
        """Do `work` on the root and return its bytes on every rank; faults as in `all_or_fail`."""
        return self.broadcast_bytes(self.all_or_fail(lambda: work() if self.is_root else b""))

    @contextmanager
    def outside_rounds(self) -> Iterator[None]:
        """Make all survivors succeed, or raise, together: outside the rounds a rank failure is fatal.

        A collective call may succeed on some ranks and fail on others, which would then execute different calls.
        """
        try:
            yield
            self.confirm()
        except CommunicatorRevoked as failure:
            failed = self.recover().failed_ranks
            if not self.is_root:
                raise ReportedFault(Exit.LOST) from failure
            raise RankFault(f"{named('rank', failed)} died outside of a round") from failure


def named(noun: str, numbers: Sequence[int]) -> str:
    """Return the noun with its numbers as text: `rank 5`, `ranks 1-3, 7`."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    spans = (f"{start}" if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(spans)}"


def by_rank(texts: Sequence[str]) -> str:
    """Return what each rank says, in rank order, as one text that has each thing once, with the ranks that say it."""
    speakers = {text: [rank for rank, own in enumerate(texts) if own == text] for text in dict.fromkeys(texts)}
    return "; ".join(f"{named('rank', ranks)}: {text}" for text, ranks in speakers.items())
