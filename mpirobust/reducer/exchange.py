"""The calls in which bytes cross between the ranks, in one round of a reducer.

A *packet* is the message of a rank and one more byte: 1, or 0 if the rank could not make a message. The calls are

    what        mode = "center"                              mode = "symmetric"
    lengths     Gatherv to rank 0: int64 of each rank,       Allgatherv: the same
                only if messages may differ in length
    packets     Gatherv to rank 0                            Allgatherv
    aggregate   rank 0: `Channel.ask`, as a run sends its    none: each rank judges the same bytes by itself
                points, through the coded way down if
                there is one; or `Channel.dismiss` with
                the number of a rank that failed

The last byte tells of a program that fails, for example because it comes with other arrays: all ranks then raise, and
none waits. It is the one thing in a packet that is believed. A rank that lies there stops the program, which it could
by making another MPI call; by everything else that it sends it can only be a faulty worker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import Query
from mpirobust.cluster.downlink import Downlink
from mpirobust.cluster.protocol import HEADER, Channel, Command, bytes_down
from mpirobust.comm.communicator import Communicator
from mpirobust.errors import RankFault
from mpirobust.types import Message

Judge: TypeAlias = Callable[[Sequence[Message]], Verdict]  # of the messages of the present ranks, in rank order

_SOUND, _FAILED = b"\1", b"\0"
_LENGTH = np.dtype(np.int64)


class Refused(Exception):
    """A rank could not take part; `number` is its number in the program's communicator."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class Crossed:
    """The result of one round.

    Attributes:
        query: its one vector is the aggregate, as all ranks have it; and the message that told, if it was coded.
        verdict: of the rule; None on a rank that does not judge.
        sent, received: bytes of this rank. What a rank sends to several counts once for each.
    """

    query: Query
    verdict: Verdict | None
    sent: int
    received: int


class Exchange(ABC):
    """The calls between the present ranks, with buffers of its own. Never used again after a rank failure.

    Args:
        longest: bytes of the longest message.
        fixed: whether every message is that long.
        downlink: this rank's end of the way down, after the last round.

    Attributes:
        everywhere: whether every rank judges, or rank 0 alone.

    Raises:
        RankFault: the rank that judges for all has died.
    """

    everywhere: ClassVar[bool]

    def __init__(self, comm: Communicator, longest: int, fixed: bool, downlink: Downlink) -> None:
        self._comm, self._fixed = comm, fixed
        self._longest = longest + len(_SOUND)
        self._lengths = np.full(comm.size, self._longest, _LENGTH)
        self._buffer = np.empty(0, np.uint8)
        self._sent = 0  # bytes of this rank to one other

    @abstractmethod
    def once(self, round: int, downlink: Downlink, message: bytes | None, judge: Judge) -> Crossed:
        """Exchange the messages of a round, and judge them.

        Args:
            downlink: this rank's end before the round.
            message: of this rank; None if it failed.
            judge: called on the ranks that judge.

        Raises:
            Refused: a rank failed; all ranks name the lowest.
            Exception: that of `judge`; the other ranks raise `Refused` if they do not judge.
            CommunicatorRevoked: a rank has died.
        """

    @abstractmethod
    def _collect(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[np.int64]) -> None:
        """Gather the items of all ranks where they are judged."""

    def _packets(self, message: bytes | None) -> list[Message]:
        """Return the packets of all ranks, in rank order, as views; none on a rank that does not judge."""
        due = self._longest - 1 if self._fixed else 0  # bytes in place of a message
        mine = np.frombuffer(bytes(due) + _FAILED if message is None else message + _SOUND, np.uint8)
        self._sent = mine.size
        if not self._fixed:
            self._collect(np.array([mine.size], _LENGTH), self._lengths, np.ones(self._comm.size, np.int64))
            np.clip(self._lengths, 0, self._longest, out=self._lengths)  # no claim makes a buffer large
            self._sent += _LENGTH.itemsize
        judges = self.everywhere or self._comm.is_root
        ends = np.cumsum(self._lengths if judges else [0])
        if self._buffer.size < ends[-1]:
            self._buffer = np.empty(int(ends[-1]), np.uint8)
        self._collect(mine, self._buffer[: ends[-1]], self._lengths)
        sizes, view = self._lengths.tolist(), self._buffer.data
        return [view[end - size : end] for end, size in zip(ends.tolist(), sizes, strict=True)] if judges else []

    def _judged(self, packets: Sequence[Message], judge: Judge) -> Verdict:
        """Return the verdict on the packets; raise `Refused` if a rank has no message."""
        for rank, packet in enumerate(packets):
            if packet[-1:] == _FAILED:
                raise Refused(self._comm.numbers[rank])
        return judge([packet[:-1] for packet in packets])

    def _received(self, packets: Sequence[Message]) -> int:
        """Return the bytes that the other ranks have sent to this one."""
        lengths = 0 if self._fixed else len(packets) * _LENGTH.itemsize
        return sum(map(len, packets)) + lengths - self._sent


class Center(Exchange):
    """Rank 0 gathers, judges, and sends the aggregate to all."""

    everywhere = False

    def __init__(self, comm: Communicator, longest: int, fixed: bool, downlink: Downlink) -> None:
        if comm.numbers[0] != 0:
            raise RankFault("rank 0, the center of the reducer, died; start again from the last state of all ranks")
        super().__init__(comm, longest, fixed, downlink)
        self._channel = Channel(comm, downlink.layout.dim, downlink)

    def once(self, round: int, downlink: Downlink, message: bytes | None, judge: Judge) -> Crossed:
        packets = self._packets(message)
        if not self._comm.is_root:
            header, vectors = self._channel.receive()
            if header["command"] == Command.DISMISS:
                raise Refused(int(header["number"]))
            down = HEADER.itemsize + int(header["number"] or vectors[0].nbytes)
            return Crossed(Query(vectors), None, self._sent, down)
        try:
            verdict = self._judged(packets, judge)
            query = downlink.coded(round, Query((verdict.step,)))
        except Exception as error:
            self._channel.dismiss(error.number if isinstance(error, Refused) else self._comm.number)
            raise
        self._channel.ask(round, query)
        return Crossed(query, verdict, bytes_down(self._comm.size - 1, query), self._received(packets))

    def _collect(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[np.int64]) -> None:
        self._comm.gather(mine, into, counts, most=self._comm.size * self._longest)


class Symmetric(Exchange):
    """Every rank gathers all messages and judges by itself."""

    everywhere = True

    def once(self, round: int, downlink: Downlink, message: bytes | None, judge: Judge) -> Crossed:
        packets = self._packets(message)
        verdict = self._judged(packets, judge)
        sent = self._sent * (self._comm.size - 1)
        return Crossed(Query((verdict.step,)), verdict, sent, self._received(packets))

    def _collect(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[np.int64]) -> None:
        self._comm.gather_to_all(mine, into, counts)
