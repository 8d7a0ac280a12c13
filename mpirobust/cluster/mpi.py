"""The processes of an MPI job. The one file that imports mpi4py."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from time import monotonic, sleep
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from mpirobust.cluster.base import Cluster
from mpirobust.cluster.host import Host
from mpirobust.cluster.local import LocalCluster
from mpirobust.cluster.placement import Placement
from mpirobust.cluster.ranks import Death, Mended, Ranks, named, survives_deaths
from mpirobust.cluster.remote import RemoteCluster
from mpirobust.cluster.serving import serve
from mpirobust.cluster.wire import SECONDS
from mpirobust.cluster.world import World
from mpirobust.errors import Exit, Fault, RankFault, ReportedFault, SetupFault

_MOST_BYTES = 2**31 - 1  # of one Gatherv: MPI-3 counts are 32-bit
_RESIDUAL_TAG = 1
_PATIENCE = 5.0  # seconds until the runtime knows of a death
_DEATHS = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED)
_HEARD, _NO_NEWS = 1, 2  # what ranks agree on, as bits: that all heard the dismissal, that nobody has more to tell
_NOBODY = 2**31  # in place of a worker
_LAST_SECONDS = 60  # for the others to learn of the center's end


class MpiRanks(Ranks):
    """The processes of MPI_COMM_WORLD that are left.

    Under `mpirun --with-ft ulfm` a death is an error on the others (ULFM; Bland et al. 2013); else it ends the job.
    """

    def __init__(self) -> None:
        # The launcher says so; the calls exist, and return, in libraries that cannot keep what they promise.
        self.survives = survives_deaths()
        # In a copy nobody else's traffic can match ours; but to make one is a call in which a rank may die.
        self.comm: MPI.Comm = MPI.COMM_WORLD if self.survives else MPI.COMM_WORLD.Dup()
        self.rank = self.comm.Get_rank()
        self.size = self.comm.Get_size()
        self._numbers = list(range(self.size))  # by the launcher, of those that are left
        self._news = False  # whether somebody has more to tell than that a rank died
        self._failed, self._code = _NOBODY, 0  # what this rank has to tell: a worker that failed, how the center ends
        # The library may still write to the buffers of a call that failed: they are never freed.
        self._retired: list[object] = []

    def broadcast(self, buffer: NDArray[Any]) -> None:
        with self._deaths(buffer):
            self.comm.Bcast(buffer)

    def gather(self, mine: NDArray[Any], into: NDArray[Any] | None = None, counts: NDArray[Any] | None = None) -> None:
        with self._deaths(mine, into, counts):
            self.comm.Gatherv(mine, None if into is None else [into, (counts, None)])

    def add(self, parts: NDArray[Any]) -> None:
        with self._deaths(parts):
            if self.rank == 0:
                self.comm.Reduce(MPI.IN_PLACE, parts, MPI.SUM)
            else:
                self.comm.Reduce(parts, None, MPI.SUM)

    def lowest(self, value: int) -> int:
        """The lowest of what all ranks pass."""
        mine, result = np.array([value], np.int64), np.empty(1, np.int64)
        with self._deaths(mine, result):
            self.comm.Allreduce(mine, result, MPI.MIN)
        return int(result[0])

    def send(self, vector: NDArray[Any]) -> None:
        with self._deaths(vector):
            self.comm.Send(vector, dest=0, tag=_RESIDUAL_TAG)

    def receive(self, vector: NDArray[Any], rank: int) -> None:
        with self._deaths(vector):
            self.comm.Recv(vector, source=rank, tag=_RESIDUAL_TAG)

    @contextmanager
    def _deaths(self, *buffers: object) -> Iterator[None]:
        try:
            yield
        except MPI.Exception as error:
            if not self.survives or not self._tells_of_death(error):
                raise
            self._retired += buffers
            self._interrupt(_NO_NEWS)
            raise Death from error

    def _interrupt(self, bits: int) -> None:
        """Whoever waits in a call for this rank, wakes up; whoever waits in `part`, learns that not all are there."""
        self.comm.Revoke()
        self._agree(bits)

    def _tells_of_death(self, error: MPI.Exception) -> bool:
        """Open MPI says MPI_ERR_OTHER where a connection breaks before its runtime knows why."""
        patience = monotonic() + _PATIENCE
        while error.Get_error_class() not in _DEATHS and self.comm.Get_failed().Get_size() == 0:
            if monotonic() > patience:
                return False
            sleep(0.01)
        return True

    def part(self) -> None:
        if self.survives and not self._agree(_HEARD | _NO_NEWS) & _HEARD:
            raise Death

    def _agree(self, bits: int) -> int:
        """The bits that all that are left have set: the same on every rank, whoever dies meanwhile."""
        while True:
            self.comm.Ack_failed()
            try:
                agreed = int(self.comm.Agree(bits))
            except MPI.Exception as error:
                if error.Get_error_class() != MPI.ERR_PROC_FAILED:
                    raise
            else:
                self._news = not agreed & _NO_NEWS
                return agreed

    def report(self, worker: int) -> None:
        self._failed = worker
        self._interrupt(0)

    def end(self, code: int) -> None:
        """Tell all, from the center, to end with this code."""
        self._code = code
        self._interrupt(0)
        self.mend()

    def mend(self) -> Mended:
        former = self.comm.Get_group()
        told: tuple[int, int] | None = None
        while told is None:
            self._retired.append(self.comm)
            self.comm = self.comm.Shrink()
            self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
            told = self._exchange() if self._news else (_NOBODY, 0)
        failed, code = told
        self._news, self._failed = False, _NOBODY
        if code and self.rank:
            raise ReportedFault(code)
        left = list(MPI.Group.Translate_ranks(self.comm.Get_group(), range(self.size), former))
        dead = [number for rank, number in enumerate(self._numbers) if rank not in left]
        self._numbers = [self._numbers[rank] for rank in left]
        if left[0] != 0:
            if self.rank:
                raise ReportedFault(Exit.LOST)
            raise RankFault("rank 0, the center, died; another start goes on from the newest checkpoint")
        return Mended(left, dead, None if failed == _NOBODY else failed)

    def _exchange(self) -> tuple[int, int] | None:
        """What anybody has to tell, a worker that failed and how the center ends; None for all if a rank died here."""
        mine, told = np.array([self._failed, -self._code]), np.empty(2, np.int64)
        self._retired += [mine, told]
        try:
            self.comm.Allreduce(mine, told, MPI.MIN)
            bits = _HEARD
        except MPI.Exception:
            self.comm.Revoke()
            bits = 0
        agreed = self._agree(bits) & _HEARD  # as long as it is not, there is news
        return (int(told[0]), -int(told[1])) if agreed else None


class MpiWorld(World):
    """The processes that mpirun or srun started."""

    def __init__(self) -> None:
        self.ranks = MpiRanks()
        self.number = self.ranks.rank
        self.survives = self.ranks.survives

    @property
    def rank(self) -> int:
        return self.ranks.rank

    @property
    def size(self) -> int:
        return self.ranks.size

    def broadcast(self, data: bytes) -> bytes:
        with self._whole():
            length = np.array([len(data)], np.int64)
            self.ranks.broadcast(length)
            buffer = np.frombuffer(bytearray(data) if self.rank == 0 else bytearray(int(length[0])), np.uint8)
            self.ranks.broadcast(buffer)
        return buffer.tobytes()

    def gather(self, data: bytes) -> list[bytes]:
        lengths = np.zeros(self.size, np.int64)
        with self._whole():
            self.ranks.gather(np.array([len(data)], np.int64), lengths, np.ones(self.size, np.int64))
            buffer = np.empty(int(lengths.sum()), np.uint8)
            self.ranks.gather(np.frombuffer(data, np.uint8), buffer, lengths)
        cuts = np.concatenate(([0], np.cumsum(lengths)))
        return [buffer[start:stop].tobytes() for start, stop in pairwise(cuts)]

    def worst(self, code: int) -> tuple[int, int]:
        with self._whole():
            lowest = self.ranks.lowest(self.rank * 256 + code if code else self.size * 256)
        rank, code = divmod(lowest, 256)
        return (rank, code) if code else (0, 0)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Outside a run there is nothing that a death would lose: all that are left end, or all go on.

        A collective call may end well on some ranks and not on others, and what comes next would differ.
        """
        try:
            yield
            self.ranks.part()
        except Death as death:
            dead = self.ranks.mend().dead
            if self.rank:
                raise ReportedFault(Exit.LOST) from death
            raise RankFault(f"{named('rank', dead)} died outside of a round") from death

    def abort(self, code: int) -> None:
        if not self.ranks.survives:
            MPI.COMM_WORLD.Abort(code)
        if self.rank == 0:  # MPI_Abort would hang
            signal.alarm(_LAST_SECONDS)
            with suppress(MPI.Exception):
                self.ranks.end(code)
            self.leave(code)
        os.kill(os.getpid(), signal.SIGKILL)  # only an end by a signal is noticed as a death

    def leave(self, code: int) -> NoReturn:
        if self.ranks.survives:  # Finalize may hang where a rank has died
            with suppress(MPI.Exception):
                code = self._take_leave(code)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        sys.exit(code)

    def _take_leave(self, code: int) -> int:
        """Wait for all that are left; returns the code to leave with, that of the center if it ends late."""
        while True:
            try:
                self.ranks.part()
            except Death:
                try:
                    self.ranks.mend()
                except Fault as fault:
                    code = fault.code
            else:
                return code

    def connect(self, host: Host, placement: Placement) -> Cluster | None:
        if self.size == 1:
            return LocalCluster(host)
        workers, limit = sum(map(len, placement)), host.orders.message_limit()
        if workers * (limit + 1) + self.size * SECONDS.itemsize > _MOST_BYTES:
            raise SetupFault(
                f"{workers} messages of up to {limit} bytes exceed the {_MOST_BYTES} bytes that one gather carries; "
                f"use fewer workers or a compressor with shorter messages"
            )
        return RemoteCluster(self.ranks, host.orders, placement) if self.rank == 0 else None

    def serve(self, host: Host, placement: Placement) -> int:
        return serve(self.ranks, host, placement)

    def versions(self) -> dict[str, str]:
        return {"mpi": MPI.Get_library_version().split("\n")[0].strip("\x00 "), "mpi4py": _mpi4py_version()}


def _mpi4py_version() -> str:
    import mpi4py

    return mpi4py.__version__
