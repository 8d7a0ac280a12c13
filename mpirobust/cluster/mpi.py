"""The cluster over MPI: rank 0 is the center, the others host the workers. The one file that imports mpi4py."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import pairwise
from time import perf_counter

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Audit, Cluster, Exchange
from mpirobust.cluster.curvature import power_iteration, smallest_eigenvalue
from mpirobust.cluster.host import SCORES, Host, summarise
from mpirobust.cluster.local import LocalCluster
from mpirobust.cluster.reception import Reception
from mpirobust.cluster.summation import ExactSum
from mpirobust.cluster.wire import HEADER, Command
from mpirobust.cluster.world import World
from mpirobust.errors import SetupFault
from mpirobust.types import Message, Vector
from mpirobust.worker import Orders

_MOST_BYTES = 2**31 - 1  # of one Gatherv: MPI-3 counts are 32-bit
_SECONDS = np.dtype(("<f8", (2,)))  # compute and encode, behind the messages of each rank
_RESIDUAL_TAG = 1


class MpiWorld(World):
    """The processes of MPI_COMM_WORLD."""

    def __init__(self) -> None:
        self.comm = MPI.COMM_WORLD.Dup()  # a communicator of our own: nobody else's traffic can match ours
        self.rank = self.comm.Get_rank()
        self.size = self.comm.Get_size()

    def broadcast(self, data: bytes) -> bytes:
        length = np.array([len(data)], np.int64)
        self.comm.Bcast(length)
        buffer = bytearray(data) if self.rank == 0 else bytearray(int(length[0]))
        self.comm.Bcast([buffer, MPI.BYTE])
        return bytes(buffer)

    def gather(self, data: bytes) -> list[bytes]:
        lengths = np.zeros(self.size, np.int64)
        self.comm.Gather(np.array([len(data)], np.int64), lengths)
        buffer = bytearray(int(lengths.sum()))
        self.comm.Gatherv([data, MPI.BYTE], [buffer, (lengths, None), MPI.BYTE] if self.rank == 0 else None)
        cuts = np.concatenate(([0], np.cumsum(lengths)))
        return [bytes(buffer[start:stop]) for start, stop in pairwise(cuts)]

    def worst(self, code: int) -> tuple[int, int]:
        mine = np.array([self.rank * 256 + code if code else self.size * 256], np.int64)
        lowest = np.empty(1, np.int64)
        self.comm.Allreduce(mine, lowest, MPI.MIN)
        rank, code = divmod(int(lowest[0]), 256)
        return (rank, code) if code else (0, 0)

    def abort(self, code: int) -> None:
        self.comm.Abort(code)

    def connect(self, host: Host, placement: Sequence[range]) -> Cluster | None:
        if self.size == 1:
            return LocalCluster(host)
        workers, limit = placement[-1].stop, host.orders.message_limit()
        if workers * (limit + 1) + self.size * _SECONDS.itemsize > _MOST_BYTES:
            raise SetupFault(
                f"{workers} messages of up to {limit} bytes exceed the {_MOST_BYTES} bytes that one gather carries; "
                f"use fewer workers or a compressor with shorter messages"
            )
        return MpiCluster(self, host.orders, placement) if self.rank == 0 else None

    def serve(self, host: Host) -> int:
        return serve(self, host)

    def versions(self) -> dict[str, str]:
        return {"mpi": MPI.Get_library_version().split("\n")[0].strip("\x00 "), "mpi4py": _mpi4py_version()}


def _mpi4py_version() -> str:
    import mpi4py

    return mpi4py.__version__


class _Line:
    """The center's line to all ranks: one broadcast carries the header and the first vector."""

    def __init__(self, comm: MPI.Intracomm, dim: int) -> None:
        self._comm = comm
        self._buffer = np.zeros(HEADER.itemsize + 8 * dim, np.uint8)
        self._header = self._buffer[: HEADER.itemsize].view(HEADER)
        self._first = self._buffer[HEADER.itemsize :].view(np.float64)
        self._further: list[NDArray[np.float64]] = []

    def say(self, command: Command, vectors: Sequence[Vector] = (), **fields: float) -> None:
        self._header[:] = 0
        self._header["command"] = command
        self._header["vectors"] = len(vectors)
        for name, value in fields.items():
            self._header[name] = value
        if vectors:
            self._first[:] = vectors[0]
        self._comm.Bcast(self._buffer)
        for vector in vectors[1:]:
            self._comm.Bcast(np.ascontiguousarray(vector))

    def hear(self) -> tuple[np.void, tuple[Vector, ...]]:
        """The header and the vectors; both are overwritten by the next call."""
        self._comm.Bcast(self._buffer)
        header = self._header[0]
        while len(self._further) < header["vectors"] - 1:
            self._further.append(np.empty_like(self._first))
        further = self._further[: max(0, header["vectors"] - 1)]
        for vector in further:
            self._comm.Bcast(vector)
        return header, (self._first, *further)


class MpiCluster(Cluster):
    """The center's end. `placement` holds the workers of each rank."""

    def __init__(self, world: MpiWorld, orders: Orders, placement: Sequence[range]) -> None:
        self._comm = world.comm
        self._orders = orders
        self._placement = placement
        self._line = _Line(world.comm, orders.dim)
        self._hosted = np.array([len(workers) for workers in placement])
        self._m = int(self._hosted.sum())
        self._reception = Reception(orders, self._m)
        self._lengths = np.full(self._m, orders.message_limit(), np.int64)
        self._received = np.empty(0, np.uint8)
        self._messages: list[Message] = []
        self._seconds: list[NDArray[np.float64]] = []
        self._lay_out()

    def ask(self, round: int, query: Query) -> Exchange:
        began = perf_counter()
        self._line.say(Command.ASK, query.vectors, round=round, kind=query.kind, scale=query.scale)
        told = perf_counter()
        messages, compute, encode = self._collect()
        waited = perf_counter() - told
        seconds = {
            "broadcast": told - began,
            "compute": compute,
            "encode": encode,
            "gather": max(0.0, waited - compute - encode),
        }
        return self._reception.exchange(round, query, messages, seconds)

    def _collect(self) -> tuple[list[Message], float, float]:
        """One message per worker in worker order, as views, and the seconds of the slowest rank."""
        if self._orders.lengths_vary:
            self._comm.Gatherv(np.empty(0, np.int64), [self._lengths, (self._hosted, None)])
            self._lay_out()
        self._comm.Gatherv([b"", MPI.BYTE], [self._received, (self._counts, None), MPI.BYTE])
        compute, encode = max(self._seconds, key=np.sum)
        return list(self._messages), float(compute), float(encode)

    def _lay_out(self) -> None:
        """Cut the receive buffer where the messages and the seconds of each rank will stand."""
        seams = np.concatenate(([0], np.cumsum(self._hosted)))
        sums = np.concatenate(([0], np.cumsum(self._lengths)))
        self._counts = sums[seams[1:]] - sums[seams[:-1]]
        self._counts[1:] += _SECONDS.itemsize
        if self._received.size < self._counts.sum():
            self._received = np.empty(int(self._counts.sum()), np.uint8)
        self._messages.clear()
        self._seconds.clear()
        view, at = self._received.data, 0
        for first, last in pairwise(seams[1:]):
            for length in self._lengths[first:last].tolist():
                self._messages.append(view[at : at + length])
                at += length
            self._seconds.append(np.frombuffer(view[at : at + _SECONDS.itemsize], "<f8"))
            at += _SECONDS.itemsize

    def audit(self, x: Vector) -> Audit:
        self._line.say(Command.AUDIT, (x,))
        scores = np.empty((self._m, SCORES))
        self._comm.Gatherv(np.empty(0), [scores, (self._hosted * SCORES, None)])
        return summarise(scores, _combined(self._comm, ExactSum(x.size)), self._orders.weight())

    def smoothness(self, x: Vector) -> float:
        return power_iteration(self._hessian(x), x.size, self._orders.seed)

    def lambda_min(self, x: Vector) -> float:
        return smallest_eigenvalue(self._hessian(x), x.size, self._orders.seed)

    def _hessian(self, x: Vector) -> Callable[[Vector], Vector]:
        """Products with the mean Hessian of the workers at `x`."""

        def product(v: Vector) -> Vector:
            self._line.say(Command.CURVATURE, (x, v))
            return _combined(self._comm, ExactSum(x.size)).total() / self._orders.weight()

        return product

    def residuals(self) -> Generator[Vector, None, None]:
        if self._orders.feedback == "difference":
            yield from self._reception.states
        if self._orders.feedback != "residual":
            return
        self._line.say(Command.RESIDUALS)
        residual = np.empty(self._orders.dim)
        senders = [rank for rank, workers in enumerate(self._placement) for _ in workers]
        try:
            while senders:
                self._comm.Recv(residual, source=senders.pop(0), tag=_RESIDUAL_TAG)
                yield residual
        finally:  # a reader that gave up must not leave the workers sending
            for rank in senders:
                self._comm.Recv(residual, source=rank, tag=_RESIDUAL_TAG)

    def recall(self, residuals: Iterable[Vector]) -> None:
        self._reception.recall(residuals)

    def dismiss(self, code: int) -> None:
        self._line.say(Command.DISMISS, code=code)


def serve(world: MpiWorld, host: Host) -> int:
    """The other end: do as the center says until dismissed; returns the exit code."""
    line = _Line(world.comm, host.orders.dim)
    while True:
        header, vectors = line.hear()
        match Command(int(header["command"])):
            case Command.ASK:
                _answer(world.comm, host, header, vectors)
            case Command.AUDIT:
                world.comm.Gatherv(host.scores(vectors[0]), None)
                _combined(world.comm, host.gradients(vectors[0]))
            case Command.CURVATURE:
                _combined(world.comm, host.hessian_products(*vectors))
            case Command.RESIDUALS:
                for worker in host.workers:
                    world.comm.Send(worker.residual, dest=0, tag=_RESIDUAL_TAG)
            case Command.DISMISS:
                return int(header["code"])


def _answer(comm: MPI.Intracomm, host: Host, header: np.void, vectors: tuple[Vector, ...]) -> None:
    batch = host.reply(int(header["round"]), Query(vectors, float(header["scale"]), int(header["kind"])))
    if host.orders.lengths_vary:
        comm.Gatherv(np.array([len(message) for message in batch.messages], np.int64), None)
    seconds = np.array([batch.compute, batch.encode]).astype("<f8")
    comm.Gatherv([b"".join([*batch.messages, seconds.tobytes()]), MPI.BYTE], None)


def _combined(comm: MPI.Intracomm, mine: ExactSum) -> ExactSum:
    """The sum over all ranks, on rank 0."""
    if comm.rank == 0:
        comm.Reduce(MPI.IN_PLACE, mine.parts, MPI.SUM)
    else:
        comm.Reduce(mine.parts, None, MPI.SUM)
    return mine
