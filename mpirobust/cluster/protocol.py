"""What crosses between center and workers, laid out the same with and without MPI."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.comm.communicator import Communicator
from mpirobust.types import Vector


class Command(IntEnum):
    """What the workers are told to do."""

    ASK = 1
    AUDIT = 2
    CURVATURE = 3
    RESIDUALS = 4
    DISMISS = 5


# `number` is, for RESIDUALS, the first worker whose residual is wanted, and for DISMISS the exit code.
HEADER = np.dtype(
    [("command", "<i4"), ("kind", "<i4"), ("vectors", "<i4"), ("number", "<i4"), ("round", "<i8"), ("scale", "<f8")]
)
Header: TypeAlias = np.void  # one HEADER
SECONDS = np.dtype(("<f8", (2,)))  # compute and encode, behind the messages of each rank


def bytes_down(workers: int, query: Query) -> int:
    """Bytes of the header and the vectors, once for each worker."""
    return workers * (HEADER.itemsize + sum(v.nbytes for v in query.vectors))


class Channel:
    """The center's channel to all ranks: one broadcast carries the header and the first vector."""

    def __init__(self, comm: Communicator, dim: int) -> None:
        self._comm = comm
        self._buffer = np.zeros(HEADER.itemsize + 8 * dim, np.uint8)
        self._header = self._buffer[: HEADER.itemsize].view(HEADER)
        self._first = self._buffer[HEADER.itemsize :].view(np.float64)
        self._further: list[NDArray[np.float64]] = []

    def send(self, command: Command, vectors: Sequence[Vector] = (), **fields: float) -> None:
        self._header[:] = 0
        self._header["command"] = command
        self._header["vectors"] = len(vectors)
        for name, value in fields.items():
            self._header[name] = value
        if vectors:
            self._first[:] = vectors[0]
        self._comm.broadcast(self._buffer)
        for vector in vectors[1:]:
            self._comm.broadcast(np.ascontiguousarray(vector))

    def receive(self) -> tuple[Header, tuple[Vector, ...]]:
        """The header and the vectors; both are overwritten by the next call."""
        self._comm.broadcast(self._buffer)
        header = self._header[0]
        while len(self._further) < header["vectors"] - 1:
            self._further.append(np.empty_like(self._first))
        further = self._further[: max(0, header["vectors"] - 1)]
        for vector in further:
            self._comm.broadcast(vector)
        return header, (self._first, *further)
