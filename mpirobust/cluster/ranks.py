"""What center and workers need of the processes in a round: collectives on buffers, and a way on where one has died."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

_ULFM = "OMPI_MCA_mpi_ft_enable"  # set by `mpirun --with-ft ulfm`


class Death(Exception):
    """A rank died, a worker failed or the center ends, or not all came to `Ranks.part`. `Ranks.mend` comes next."""


@dataclass(frozen=True)
class Mended:
    """What became of the ranks.

    Attributes:
        left: the former ranks of those that are left, ascending.
        dead: what the launcher calls those that are not.
        failed: a worker that its rank cannot go on with.
    """

    left: Sequence[int]
    dead: Sequence[int] = ()
    failed: int | None = None


class Ranks(ABC):
    """The processes that are left, numbered from 0, the center.

    Every call but `report` and `mend` raises `Death` where one of them dies: not always on all ranks at once,
    but on each sooner or later, so that all come to `mend`. A library that does not survive a death ends the job
    instead.

    Attributes:
        rank: the number of this process.
        size: how many are left.
        survives: whether the library survives a death.
    """

    rank: int
    size: int
    survives: bool

    @abstractmethod
    def broadcast(self, buffer: NDArray[Any]) -> None:
        """What is in the center's buffer, into the same on every rank."""

    @abstractmethod
    def gather(self, mine: NDArray[Any], into: NDArray[Any] | None = None, counts: NDArray[Any] | None = None) -> None:
        """At the center, `into` holds what every rank sent, by rank, and `counts` how many items each sends."""

    @abstractmethod
    def add(self, parts: NDArray[Any]) -> None:
        """At the center, `parts` becomes the sum of those of all ranks, of integers."""

    @abstractmethod
    def send(self, vector: NDArray[Any]) -> None:
        """To the center."""

    @abstractmethod
    def receive(self, vector: NDArray[Any], rank: int) -> None:
        """What this rank sends."""

    @abstractmethod
    def part(self) -> None:
        """Said by every rank after a call that may have failed for others only; returns if all that are left say it."""

    @abstractmethod
    def report(self, worker: int) -> None:
        """Tell all that this worker failed here, so that they come to `mend`; for ranks that survive a death."""

    @abstractmethod
    def mend(self) -> Mended:
        """Leave the dead behind; `rank` and `size` are then of those that are left.

        The buffers of the call that failed are not to be used again: the library may still write to them.

        Raises:
            RankFault: the center died; `ReportedFault` on all ranks but one, or with the code that it ends with.
        """


def survives_deaths() -> bool:
    """Whether the launcher was `mpirun --with-ft ulfm`."""
    return os.environ.get(_ULFM) == "1"


def named(noun: str, numbers: Sequence[int]) -> str:
    """`rank 5`, `ranks 1-3, 7`."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    spans = (f"{start}" if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(spans)}"
