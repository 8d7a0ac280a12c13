"""The groups of redundant workers, and the vote on their bytes, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.cluster.groups import Groups
from mpirobust.cluster.placement import assign_workers
from mpirobust.types import Message

_ALL = range(6)

# What the six workers of two groups of three send ("" for an absent one), what is taken, and who is outvoted. The
# groups are 0, 2, 4 and 1, 3, 5.
_VOTES: dict[str, tuple[list[str | None], list[str], list[int], list[int]]] = {
    "all agree": (["a", "b", "a", "b", "a", "b"], ["a", "b"], [], []),
    "a liar in each": (["x", "b", "a", "b", "a", "y"], ["a", "b"], [0, 5], []),
    "two liars who agree": (["x", "b", "x", "b", "a", "b"], ["x", "b"], [4], []),
    "all differ": (["x", "b", "y", "b", "a", "b"], ["", "b"], [0, 2, 4], [0]),
    "one bit": (["a", "b", "a", "b", "c", "b"], ["a", "b"], [4], []),
    "a prefix": (["aa", "b", "a", "b", "aa", "b"], ["aa", "b"], [2], []),
    "an empty message": (["", "b", "a", "b", "a", "b"], ["a", "b"], [0], []),
    "most are empty": (["", "b", "", "b", "a", "b"], ["", "b"], [4], []),
    "one is absent": ([None, "b", "a", "b", "a", "b"], ["a", "b"], [], []),
    "one of two that are left": ([None, "b", "x", "b", "a", "b"], ["", "b"], [2, 4], [0]),
    "one is left": ([None, "b", None, "b", "a", "b"], ["a", "b"], [], []),
    "none is left": ([None, "b", None, "b", None, "b"], ["", "b"], [], []),
}


@pytest.mark.parametrize("name", _VOTES)
def test_the_majority_is_taken_and_the_others_are_named(name: str) -> None:
    sent, taken, outvoted, undecided = _VOTES[name]
    messages: list[Message] = [memoryview(bytearray((each or "").encode())) for each in sent]
    vote = Groups(6, 3).vote(messages, np.array([each is not None for each in sent]))
    assert [bytes(each).decode() for each in vote.messages] == taken
    assert np.flatnonzero(vote.outvoted).tolist() == outvoted
    assert vote.undecided.tolist() == undecided


def test_alone_a_worker_is_not_outvoted() -> None:
    messages: list[Message] = [b"x", b"", b"y"]
    vote = Groups(3).vote(messages, np.array([True, False, True]))
    assert vote.messages == messages
    assert not vote.outvoted.any()
    assert not vote.undecided.size


# r, the Byzantine, the absent, and the groups without an honest majority of those present, of 12 workers.
_LOST: list[tuple[int, list[int], list[int], list[int]]] = [
    (1, [3, 7], [5], [3, 5, 7]),
    (3, [0, 1, 2, 3], [], []),  # one in each group of four
    (3, [0, 4], [], [0]),
    (3, [0], [4], [0]),  # one against one
    (3, [0], [0, 4], []),
    (3, [], [1, 5, 9], [1]),
    (2, [0, 1, 7], [], [0, 1]),  # two that differ
    (4, [0, 3, 1], [], [0]),
    (4, [0], [3], []),
]


@pytest.mark.parametrize(("size", "byzantine", "absent", "lost"), _LOST)
def test_lost_are_the_groups_without_an_honest_majority(
    size: int, byzantine: list[int], absent: list[int], lost: list[int]
) -> None:
    present = ~np.isin(np.arange(12), absent)
    assert Groups(12, size).lost(np.array(byzantine, np.intp), present).tolist() == lost


def test_first_and_members() -> None:
    groups = Groups(6, 3)
    assert groups.firsts(_ALL) == {0, 1}
    assert groups.firsts([5, 4, 3]) == {3, 4}
    assert groups.firsts([4]) == {4}
    assert groups.members(np.array([1])).tolist() == [1, 3, 5]
    assert [groups.of(worker) for worker in _ALL] == groups.of_all.tolist() == [0, 1] * 3


@pytest.mark.parametrize(("workers", "size"), [(21, 3), (20, 4), (12, 2), (15, 5)])
def test_a_rank_hosts_one_worker_of_a_group_if_there_are_enough_ranks(workers: int, size: int) -> None:
    """So that a rank that fails, or lies, is outvoted."""
    groups = Groups(workers, size)
    for ranks in range(size + 1, workers + 2):
        for hosted in assign_workers(workers, ranks):
            assert len({groups.of(worker) for worker in hosted}) == len(hosted)
