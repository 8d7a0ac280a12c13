"""What center and workers need of the processes in a round: collectives on buffers, and a way on where one has died."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


class Death(Exception):
    """A rank died in a call, or, at a dismissal, before it was heard everywhere. `Ranks.mend` comes next."""


@dataclass(frozen=True)
class Mended:
    """Who is left, by the ranks that they had, and the dead, by what the launcher calls them."""

    left: Sequence[int]
    dead: Sequence[int]


class Ranks(ABC):
    """The processes that are left, numbered from 0, the center.

    Every call but `mend` raises `Death` where one of them dies: not always on all ranks at once, but on each
    sooner or later, so that all come to `mend`. A library that does not survive a death ends the job instead.

    Attributes:
        rank: the number of this process.
        size: how many are left.
    """

    rank: int
    size: int

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
        """Said by every rank that has heard the dismissal; returns if all that are left have."""

    @abstractmethod
    def mend(self, touched: object) -> Mended:
        """Leave the dead behind; `rank` and `size` are then of those that are left.

        Args:
            touched: buffers of the call that failed. The library may still write to them, so they are never freed.

        Raises:
            RankFault: the center died; `ReportedFault` on all ranks but one.
        """


def named(noun: str, numbers: Sequence[int]) -> str:
    """`rank 5`, `ranks 1-3, 7`."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    spans = (f"{start}" if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(spans)}"
