"""Random streams: one for each (seed, worker, round, purpose), and no two alike."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpirobust.streams import CENTER, Purpose, Streams, stream

_KEYS = st.tuples(
    st.integers(0, 2**63 - 1), st.integers(0, CENTER), st.integers(0, 2**40), st.sampled_from(list(Purpose))
)


@given(key=_KEYS)
def test_equal_keys_give_equal_streams(key: tuple[int, int, int, Purpose]) -> None:
    np.testing.assert_array_equal(stream(*key).standard_normal(9), stream(*key).standard_normal(9))


@given(one=_KEYS, other=_KEYS)
def test_different_keys_give_different_streams(
    one: tuple[int, int, int, Purpose], other: tuple[int, int, int, Purpose]
) -> None:
    same = stream(*one).bytes(32) == stream(*other).bytes(32)
    assert same == (one == other)


def test_neighbours_and_extremes_are_all_distinct() -> None:
    seeds, workers, rounds = [0, 1, 2, 2**63 - 1], [0, 1, 2, 2**19, CENTER], [0, 1, 2, 10**6]
    keys = list(product(seeds, workers, rounds, Purpose))
    assert len({stream(*key).bytes(32) for key in keys}) == len(keys)


@pytest.mark.parametrize("shift", [1, 4, 100])
def test_no_stream_runs_into_its_neighbour(shift: int) -> None:
    """What comes late in one stream is not what comes early in the next purpose, round or worker."""
    late = stream(1, 2, 3, Purpose.ANSWER).bytes(32 * (shift + 1))[32 * shift :]
    for worker, round, purpose in product([2, 3], [3, 4], [Purpose.ANSWER, Purpose.CORRUPT]):
        assert stream(1, worker, round, purpose).bytes(32) != late


def test_no_two_purposes_share_a_number() -> None:
    assert len({int(purpose) for purpose in Purpose.__members__.values()}) == len(Purpose.__members__)


@given(
    key=_KEYS,
    rounds=st.lists(st.integers(0, 2**40), min_size=1, max_size=5),
    used=st.lists(st.integers(0, 40), min_size=5),
)
def test_streams_of_a_worker_are_the_same_round_after_round(
    key: tuple[int, int, int, Purpose], rounds: list[int], used: list[int]
) -> None:
    """Whatever was drawn in the rounds before, and in whatever order the rounds are asked for."""
    seed, worker, _, purpose = key
    streams = Streams(seed, worker, purpose)
    for round, draws in zip(rounds, used, strict=False):
        rng, expected = streams.of(round), stream(seed, worker, round, purpose)
        for each in (rng, expected):
            each.integers(9, dtype=np.uint32)  # leaves half a word behind
        np.testing.assert_array_equal(rng.standard_normal(draws), expected.standard_normal(draws))


@given(key=_KEYS, workers=st.lists(st.integers(0, CENTER), min_size=1, max_size=4))
def test_streams_of_one_worker_after_another(key: tuple[int, int, int, Purpose], workers: list[int]) -> None:
    seed, first, round, purpose = key
    streams = Streams(seed, first, purpose)
    for worker in workers:
        expected = stream(seed, worker, round, purpose).standard_normal(5)
        np.testing.assert_array_equal(streams.of(round, worker).standard_normal(5), expected)


def test_is_the_same_on_every_machine() -> None:
    """The bits are part of what a seed means: a change here changes every published run."""
    drawn = stream(1, 2, 3, Purpose.ANSWER).integers(2**63, size=3)
    assert drawn.tolist() == [8533573488941793656, 5698901731419540617, 4079405348283639366]
