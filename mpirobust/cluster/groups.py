"""Redundancy: groups of workers that send the same if they are honest, and the center's vote on their bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpirobust.types import Message, Rows


@dataclass(frozen=True)
class Vote:
    """The result of one round of votes.

    Attributes:
        messages: one for each group, that of the majority; empty if there is none.
        outvoted: the workers whose message is not that of a majority, shape (m,): all that answered if there is none.
        undecided: the groups whose workers answered, and of whose messages none has a majority.
    """

    messages: list[Message]
    outvoted: NDArray[np.bool_]
    undecided: Rows


@dataclass(frozen=True)
class Groups:
    """m workers in m/r groups of r. A group shares one shard, and its random streams are keyed by its number.

    Worker w is in group w mod m/r. Ranks host neighbours, so the workers of a group are on different ranks if there are
    at least r that host workers: a rank that fails takes only one of them.

    Attributes:
        workers: m.
        size: r, which divides m; with 1, group and worker are the same.
    """

    workers: int
    size: int = 1

    def __len__(self) -> int:
        """The number of groups, m/r."""
        return self.workers // self.size

    def of(self, worker: int) -> int:
        """Return the group of a worker."""
        return worker % len(self)

    @cached_property
    def of_all(self) -> Rows:
        """The group of each worker, shape (m,)."""
        return np.arange(self.workers) % len(self)

    def members(self, groups: Rows) -> Rows:
        """Return the workers of these groups, ascending."""
        return np.flatnonzero(np.isin(self.of_all, groups))

    def firsts(self, present: Iterable[int]) -> frozenset[int]:
        """Return the worker of lowest number of each group, among those present."""
        descending = sorted(present, reverse=True)
        return frozenset({self.of(worker): worker for worker in descending}.values())

    def lost(self, byzantine: Rows, present: NDArray[np.bool_] | None = None) -> Rows:
        """Return the groups in which the honest workers are no majority of those present, ascending.

        Args:
            present: shape (m,); None for all.
        """
        here = np.ones(self.workers, dtype=bool) if present is None else present
        honest = here & ~np.isin(np.arange(self.workers), byzantine)
        count = len(self)
        return np.flatnonzero(
            2 * np.bincount(self.of_all[honest], minlength=count) <= np.bincount(self.of_all[here], minlength=count)
        )

    def vote(self, messages: Sequence[Message], present: NDArray[np.bool_]) -> Vote:
        """Take in each group the message that more than half of its workers that are present have sent, byte by byte.

        Args:
            messages: of all workers.
            present: those that have answered, shape (m,).
        """
        outvoted, undecided = np.zeros(self.workers, dtype=bool), []
        if self.size == 1:
            return Vote(list(messages), outvoted, np.flatnonzero(outvoted))
        taken: list[Message] = []
        for group in range(len(self)):
            voters = [worker for worker in range(group, self.workers, len(self)) if present[worker]]
            sent = [bytes(messages[worker]) for worker in voters]
            message, votes = Counter(sent).most_common(1)[0] if sent else (b"", 0)
            decided = 2 * votes > len(sent)
            taken.append(message if decided else b"")
            outvoted[voters] = [not decided or each != message for each in sent]
            if sent and not decided:
                undecided.append(group)
        return Vote(taken, outvoted, np.array(undecided, dtype=np.intp))
