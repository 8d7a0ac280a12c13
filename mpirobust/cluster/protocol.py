"""The wire protocol between the center (rank 0) and the ranks that host workers; the same layout with and without MPI.

Every exchange begins with one broadcast of the center: a header and one vector of length d, then a broadcast for each
further vector. With a coded way down the first broadcast is the header alone, and a query to ranks that have the last
of its kind is one broadcast more: the lengths of its messages, int32, and the messages. What follows depends on the
command:

    command    vectors down          reply of each rank                            read by the center as
    ASK        those of the query    Gatherv: its messages in worker order, then   one message per worker, compute and
                                     two float64 (compute, encode seconds); if     encode seconds of each rank
                                     lengths vary, before it a Gatherv of int64
                                     lengths
    AUDIT      x                     Gatherv: scores, float64 (workers, 3);        loss, gradient norm, test accuracy
                                     Reduce: int64 parts of an exact sum
    TEST       x                     Gatherv: sums, float64 (workers, 3), then     test loss; class, guess and score
                                     if `kind` is 1 a Gatherv of float64           of each test row
                                     (rows, 3)
    CURVATURE  x, v                  Reduce: int64 parts of an exact sum           H v
    MEMORY     none                  Send: one vector for each hosted worker from  the rows of one memory of the
                                     `number` on, in worker order                  feedback, before `round`
    DISMISS    none                  confirm                                       nothing: the ranks leave with the
                                                                                   exit code `number`

A rank failure in any of them raises `CommunicatorRevoked` at both ends. Both recover and compute the new placement
of the workers (the same computation on every rank, without communication), and the center repeats the command from
its broadcast.
So every command is idempotent: a worker that receives a query twice sends the same message. The ranks forget what they
held of earlier queries, as some may have the discarded one, and the next query is sent whole. MEMORY is repeated from
the first worker whose vector has not arrived. A worker that raises in ASK, AUDIT, TEST or CURVATURE is reported by
its rank as failed and is absent from then on; without ULFM its rank ends the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.cluster.downlink import Downlink
from mpirobust.comm.communicator import Communicator
from mpirobust.errors import SetupFault
from mpirobust.types import Vector


class Command(IntEnum):
    """The commands of the center."""

    ASK = 1
    AUDIT = 2
    CURVATURE = 3
    MEMORY = 4
    DISMISS = 5
    TEST = 6


# `kind` is that of the query (ASK), the position of the memory in `Feedback.memories` (MEMORY), or 1 if each row is
# wanted (TEST); `vectors` is how many vectors follow; `number` is the bytes of the coded vectors, 0 if they are whole
# (ASK), the first worker (MEMORY) or the exit code (DISMISS).
HEADER = np.dtype(
    [("command", "<i4"), ("kind", "<i4"), ("vectors", "<i4"), ("number", "<i4"), ("round", "<i8"), ("scale", "<f8")]
)
Header: TypeAlias = np.void  # one HEADER
SECONDS = np.dtype(("<f8", (2,)))  # compute and encode, after the messages of each rank
LENGTH = np.dtype("<i4")  # of a message of the center
_MOST_CODED = 2**31 - 1  # bytes: the header has 32 bits for them


def most_up(round_limit: int, ranks: int) -> int:
    """Return a bound on the bytes of one answer to ASK of all ranks together."""
    return round_limit + ranks * SECONDS.itemsize


def bytes_down(workers: int, query: Query) -> int:
    """Return the bytes of the header and the vectors, once for each worker; of their messages if they are coded."""
    coded = sum(LENGTH.itemsize + len(message) for message in query.coded)
    return workers * (HEADER.itemsize + (coded or sum(v.nbytes for v in query.vectors)))


def expect_carried(downlink: Downlink, vectors: int) -> None:
    """Raise `SetupFault` if the header of a coded query of so many vectors cannot say how long it is."""
    if downlink.max_nbytes(vectors) + vectors * LENGTH.itemsize > _MOST_CODED:
        raise SetupFault(f"[downlink]: the messages of a query may exceed {_MOST_CODED} bytes; leave it out")


def _packed(coded: Sequence[bytes]) -> bytes:
    return b"".join([np.array([len(message) for message in coded], LENGTH).tobytes(), *coded])


def _unpacked(payload: bytes, vectors: int) -> tuple[bytes, ...]:
    ends = vectors * LENGTH.itemsize + np.cumsum(np.frombuffer(payload, LENGTH, vectors), dtype=np.int64)
    return tuple(payload[start:end] for start, end in pairwise([vectors * LENGTH.itemsize, *ends.tolist()]))


class Channel:
    """The broadcasts of the protocol, into buffers that are allocated once. One `Channel` per communicator.

    Args:
        dim: d, the length of a vector.
        downlink: the end of the ranks, before the first query of this session.
    """

    def __init__(self, comm: Communicator, dim: int, downlink: Downlink) -> None:
        self._comm = comm
        self._downlink = downlink
        self._buffer = np.zeros(HEADER.itemsize + 8 * dim, np.uint8)
        self._header = self._buffer[: HEADER.itemsize].view(HEADER)
        self._first = self._buffer[HEADER.itemsize :].view(np.float64)
        self._further: list[NDArray[np.float64]] = []
        self._together = downlink.compressor is None  # header and first vector

    def ask(self, round: int, query: Query) -> None:
        """Send ASK: the messages of the query if it has any, else its vectors."""
        payload = _packed(query.coded) if query.coded else b""
        self._send(Command.ASK, query.vectors, query.kind, len(payload), round, query.scale, payload)

    def audit(self, x: Vector) -> None:
        """Send AUDIT."""
        self._send(Command.AUDIT, (x,))

    def test(self, x: Vector, by_row: bool) -> None:
        """Send TEST."""
        self._send(Command.TEST, (x,), kind=int(by_row))

    def curvature(self, x: Vector, v: Vector) -> None:
        """Send CURVATURE."""
        self._send(Command.CURVATURE, (x, v))

    def memory(self, round: int, kind: int, first: int) -> None:
        """Send MEMORY, from the worker `first` on."""
        self._send(Command.MEMORY, kind=kind, number=first, round=round)

    def dismiss(self, code: int) -> None:
        """Send DISMISS."""
        self._send(Command.DISMISS, number=code)

    def _send(
        self,
        command: Command,
        vectors: Sequence[Vector] = (),
        kind: int = 0,
        number: int = 0,
        round: int = 0,
        scale: float = 0.0,
        payload: bytes = b"",
    ) -> None:
        self._header[:] = (command, kind, len(vectors), number, round, scale)
        if vectors:
            self._first[:] = vectors[0]
        self._broadcast_head()
        if payload:
            self._comm.broadcast(np.frombuffer(bytearray(payload), np.uint8))
            return
        for vector in vectors[1 if self._together else 0 :]:
            self._comm.broadcast(np.ascontiguousarray(vector, np.float64))

    def _broadcast_head(self) -> None:
        self._comm.broadcast(self._buffer if self._together else self._buffer[: HEADER.itemsize])

    def receive(self) -> tuple[Header, tuple[Vector, ...]]:
        """On a rank other than the root: return the header and the vectors; the next call overwrites both."""
        self._broadcast_head()
        header = self._header[0]
        asked = header["command"] == Command.ASK
        if asked and header["number"]:
            return header, self._decoded(header)
        while len(self._further) < header["vectors"] - 1:
            self._further.append(np.empty_like(self._first))
        vectors = (self._first, *self._further[: max(0, header["vectors"] - 1)])
        for vector in vectors[1 if self._together else 0 : header["vectors"]]:
            self._comm.broadcast(vector)
        if asked and not self._together:
            self._downlink = self._downlink.after(Query(tuple(map(np.copy, vectors)), kind=int(header["kind"])))
        return header, vectors

    def _decoded(self, header: Header) -> tuple[Vector, ...]:
        """Receive the messages of a query; return its vectors."""
        payload = np.empty(header["number"], np.uint8)
        self._comm.broadcast(payload)
        coded = _unpacked(payload.tobytes(), int(header["vectors"]))
        query = self._downlink.decoded(int(header["round"]), Query((), kind=int(header["kind"]), coded=coded))
        self._downlink = self._downlink.after(query)
        return query.vectors
