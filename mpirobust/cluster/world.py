"""All that an experiment may ask of the processes that the launcher started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn, TypeVar

from mpirobust.cluster.base import Cluster
from mpirobust.cluster.host import Host
from mpirobust.cluster.placement import Placement
from mpirobust.errors import Fault, ReportedFault, StorageFault

T = TypeVar("T")


class World(ABC):
    """The processes of one job. Collective calls: all ranks make them, in the same order.

    Where the MPI library survives the death of a rank, those that are left are numbered anew. A collective call of
    this class in which one dies raises `RankFault` on one rank and `ReportedFault` on the others.

    Attributes:
        number: what the launcher calls this process.
        survives: whether the others survive the death of one.
    """

    number: int
    survives: bool

    @property
    @abstractmethod
    def rank(self) -> int:
        """The number of this process among those that are left."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many are left."""

    @property
    def leads(self) -> bool:
        """Whether this process is the center's."""
        return self.rank == 0

    @property
    def label(self) -> str:
        """Which process speaks, for the start of a message; '' where there is only one."""
        return f"rank {self.number}: " if self.size > 1 else ""

    @abstractmethod
    def broadcast(self, data: bytes) -> bytes:
        """What rank 0 passed, on every rank."""

    @abstractmethod
    def gather(self, data: bytes) -> list[bytes]:
        """What every rank passed, by rank; meaningful on rank 0 only."""

    @abstractmethod
    def worst(self, code: int) -> tuple[int, int]:
        """The lowest rank that passed a code other than 0, and that code; `(0, 0)` if none did."""

    @abstractmethod
    def abort(self, code: int) -> None:
        """End the whole job now. Where ranks survive a death, one that is not the center ends alone."""

    @abstractmethod
    def leave(self, code: int) -> NoReturn:
        """End this process, after all has been said; every rank does."""

    @abstractmethod
    def connect(self, host: Host, placement: Placement) -> Cluster | None:
        """The cluster on rank 0, None on the others; raises `SetupFault` where the messages do not fit the wire."""

    @abstractmethod
    def serve(self, host: Host, placement: Placement) -> int:
        """On every other rank: do as the center says until it dismisses; returns the exit code.

        Raises:
            RankFault: the center died; `ReportedFault` on all ranks but one, or with the code that it ends with.
            WorkerFault: a worker failed here, and the library does not survive the death of a rank.
        """

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """What carries the messages, for the record."""

    def together(self, work: Callable[[], T]) -> T:
        """Do `work` on every rank and go on only if it succeeded on all.

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
        rank, code = self.worst(fault.code if fault else 0)
        if code == 0:
            return result
        raise fault if fault and rank == self.rank else ReportedFault(code)

    def at_center(self, work: Callable[[], bytes]) -> bytes:
        """Do `work` on rank 0 and share its bytes; faults as in `together`."""
        return self.broadcast(self.together(lambda: work() if self.leads else b""))
