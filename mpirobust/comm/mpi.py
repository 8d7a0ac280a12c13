"""The processes that mpirun or srun started, or those of a communicator of the program that calls."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from time import sleep
from typing import Any, NoReturn

import mpi4py
import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator, CommunicatorRevoked, Survivors
from mpirobust.comm.launch import end_after, launcher_tolerates_failure, survives_rank_failure
from mpirobust.comm.recovery import Recovery
from mpirobust.errors import Fault

_NAPS = (0.0005, 0.005)  # seconds between two looks at a call that may wait for another rank's work: first, longest
_TO_ROOT = 1  # the tag of vectors sent to the root
_LAST_SECONDS = 60  # for the other ranks to learn that the root ends


class MpiCommunicator(Communicator):
    """The surviving ranks of MPI_COMM_WORLD, of a part of it, or of the communicator of another program.

    Args:
        comm: the other program's. Nothing is done with it but to make another from it, collectively. If its rank 0
            fails, `recover` returns as for any other.
        numbers: the launcher's numbers of the ranks of `comm`, if it is a part of the job and nobody else uses it.

    Attributes:
        largest: bytes of one call. Counts are 32-bit in MPI-3, and mpi4py refuses what does not fit; some transports
            count bytes in the same type.
    """

    largest = 2**30

    def __init__(self, comm: MPI.Comm | None = None, numbers: Sequence[int] | None = None) -> None:
        # The launcher decides: the ULFM calls exist, and return, even in libraries without fault tolerance.
        self.survives = survives_rank_failure()
        self._recovery = Recovery(self.survives, comm, numbers)
        self._renumber()
        self.number = self.numbers[self.rank]

    def _renumber(self) -> None:
        self.rank, self.size = self._recovery.comm.Get_rank(), self._recovery.comm.Get_size()
        self.numbers = self._recovery.numbers

    def broadcast(self, buffer: NDArray[Any]) -> None:
        with self._recovery.guard(buffer):
            for part in self._parts(buffer):
                self._recovery.comm.Bcast(part)

    def gather(
        self,
        mine: NDArray[Any],
        into: NDArray[Any] | None = None,
        counts: NDArray[Any] | None = None,
        most: int = 0,
    ) -> None:
        with self._recovery.guard(mine, into, counts):
            if most * mine.itemsize <= self.largest:
                self._recovery.comm.Gatherv(mine, [into, (counts, None)] if self.is_root else None)
            elif into is not None and counts is not None:
                self._receive_all(mine, into.reshape(-1), counts)
            else:
                self._send(mine)

    def _receive_all(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[Any]) -> None:
        """On the root: gather without displacements, which have the type of the counts."""
        ends = np.cumsum(counts)
        into[: ends[0]] = mine
        for rank in range(1, self.size):
            self._receive(into[ends[rank - 1] : ends[rank]], rank)

    def gather_to_all(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[Any]) -> None:
        with self._recovery.guard(mine, into, counts):
            # Under ULFM, Open MPI's Allgatherv returns success and leaves the buffer as it is if rank 0 has failed.
            if into.nbytes <= self.largest and not self.survives:
                self._recovery.comm.Allgatherv(mine, [into, (counts, None)])
                return
            ends = np.cumsum(counts)
            for rank, end in enumerate(ends.tolist()):
                theirs = into.reshape(-1)[end - int(counts[rank]) : end]
                if rank == self.rank:
                    theirs[:] = mine
                for part in self._parts(theirs):
                    self._recovery.comm.Bcast(part, root=rank)

    def sum_to_root(self, parts: NDArray[np.int64]) -> None:
        with self._recovery.guard(parts):
            for part in self._parts(parts):
                if self.is_root:
                    self._recovery.comm.Reduce(MPI.IN_PLACE, part, MPI.SUM)
                else:
                    self._recovery.comm.Reduce(part, None, MPI.SUM)

    def minimum(self, value: int) -> int:
        mine, least = np.array([value], np.int64), np.empty(1, np.int64)
        with self._recovery.guard(mine, least):
            if self.survives:  # calls that do not block are the least tested part of ULFM
                self._recovery.comm.Allreduce(mine, least, MPI.MIN)
            else:
                _wait(self._recovery.comm.Iallreduce(mine, least, MPI.MIN))
        return int(least[0])

    def send(self, vector: NDArray[Any]) -> None:
        with self._recovery.guard(vector):
            self._send(vector)

    def _send(self, vector: NDArray[Any]) -> None:
        for part in self._parts(vector):
            self._recovery.comm.Send(part, dest=0, tag=_TO_ROOT)

    def receive(self, vector: NDArray[Any], rank: int) -> None:
        with self._recovery.guard(vector):
            self._receive(vector, rank)

    def _receive(self, vector: NDArray[Any], rank: int) -> None:
        for part in self._parts(vector):
            self._recovery.comm.Recv(part, source=rank, tag=_TO_ROOT)

    def _parts(self, buffer: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Yield the buffer in views that one call can carry; an empty one as it is."""
        items, step = buffer.reshape(-1), max(1, self.largest // buffer.itemsize)
        for start in range(0, max(1, items.size), step):
            yield items[start : start + step]

    @property
    def active(self) -> bool:
        return self._recovery.active

    def confirm(self) -> None:
        self._recovery.confirm()

    def report_failed_worker(self, worker: int) -> None:
        self._recovery.report_failed_worker(worker)

    def recover(self) -> Survivors:
        try:
            return self._recovery.recover()
        finally:
            self._renumber()

    def divided(self, size: int) -> tuple[Communicator, int]:
        part = self.rank // size
        with self.outside_rounds(), self._recovery.guard():
            made = self._recovery.comm.Split(part, self.rank)
        return MpiCommunicator(made, self.numbers[part * size : (part + 1) * size]), part

    def abort(self, code: int) -> None:
        if not self.survives:
            MPI.COMM_WORLD.Abort(code)
        if self.is_root:  # under ULFM, MPI_Abort would hang
            end_after(_LAST_SECONDS)
            with suppress(MPI.Exception):
                self._recovery.end(code)
            self.leave(code)
        os.kill(os.getpid(), signal.SIGKILL)  # the launcher reports a failure only if the process ends by a signal

    def leave(self, code: int) -> NoReturn:
        tolerant = self.survives
        if self.survives:
            with suppress(MPI.Exception):
                code = self._agree_on_exit(code)
                tolerant = self._recovery.all_agree(launcher_tolerates_failure())
            end_after(_LAST_SECONDS)  # all ranks leave now; without survival the root may still have work
        if not tolerant:  # MPI_Finalize may hang if a rank has failed; without it, other launchers report a failure
            if not self.survives:
                _wait(self._recovery.comm.Ibarrier())  # MPI_Finalize would poll until the root has told the outcome
            MPI.Finalize()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing is open any more: to take all modules apart costs a tenth of a start

    def _agree_on_exit(self, code: int) -> int:
        """Wait for all survivors; return the exit code, the root's if it failed after the dismissal."""
        while True:
            try:
                self.confirm()
            except CommunicatorRevoked:
                try:
                    self.recover()
                except Fault as fault:
                    code = fault.code
            else:
                return code

    def versions(self) -> dict[str, str]:
        return {"mpi": MPI.Get_library_version().split("\n")[0].strip("\x00 "), "mpi4py": mpi4py.__version__}


def _wait(request: MPI.Request) -> None:
    """Wait without polling, which takes cores from the rank that is waited for, if they are shared."""
    nap, longest = _NAPS
    while not request.Test():
        sleep(nap)
        nap = min(2 * nap, longest)
