"""The contract of every partition: every row once, ascending, no worker without one, the same for the same seed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpirobust.data.partitions.base import Partition
from mpirobust.data.partitions.by_label import ByLabel
from mpirobust.data.partitions.contiguous import Contiguous
from mpirobust.data.partitions.dirichlet import Dirichlet
from mpirobust.data.partitions.gamma_similarity import GammaSimilarity
from mpirobust.data.partitions.iid import IID
from mpirobust.errors import PlanFault
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.examples import components
from mpirobust.types import Rows

ALL: dict[str, Partition] = components("partition")
EVEN = (ByLabel, Contiguous, GammaSimilarity, IID)
NEED_CLASSES = (ByLabel, Dirichlet, GammaSimilarity)

each = pytest.mark.parametrize("partition", ALL.values(), ids=ALL.keys())


def deal(partition: Partition, labels: Any, workers: int, seed: int = 1, rows: int | None = None) -> list[Rows]:
    rng = stream(seed, CENTER, 0, Purpose.PARTITION)
    return partition.deal(len(labels) if rows is None else rows, labels, workers, rng)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[list[int], int]:
    """Labels of some rows, and no more workers than rows."""
    labels = draw(st.lists(st.integers(0, 4), min_size=1, max_size=40))
    return labels, draw(st.integers(1, len(labels)))


@each
@settings(max_examples=60)
@given(task=tasks(), seed=st.integers(0, 2**63 - 1))
def test_every_row_once_and_nobody_empty(partition: Partition, task: tuple[list[int], int], seed: int) -> None:
    labels, workers = np.array(task[0]), task[1]
    dealt = deal(partition, labels, workers, seed)
    assert len(dealt) == workers
    assert all(rows.size > 0 for rows in dealt)
    assert all((np.diff(rows) > 0).all() for rows in dealt)
    np.testing.assert_array_equal(np.sort(np.concatenate(dealt)), np.arange(labels.size))
    if isinstance(partition, EVEN):
        sizes = [rows.size for rows in dealt]
        assert max(sizes) - min(sizes) <= 1
    for ours, again in zip(dealt, deal(partition, labels, workers, seed), strict=True):
        np.testing.assert_array_equal(ours, again)


@each
def test_depends_on_the_seed_where_it_draws(partition: Partition) -> None:
    labels = np.arange(200) % 3
    one, other = deal(partition, labels, 7, seed=1), deal(partition, labels, 7, seed=2)
    same = all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert same == isinstance(partition, Contiguous)


@each
def test_leaves_the_labels_alone(partition: Partition) -> None:
    labels = np.arange(50) % 3
    labels.flags.writeable = False
    deal(partition, labels, 7)
    np.testing.assert_array_equal(labels, np.arange(50) % 3)


@each
def test_real_targets(partition: Partition) -> None:
    if isinstance(partition, NEED_CLASSES):
        with pytest.raises(PlanFault, match="needs classes") as caught:
            deal(partition, None, 3, rows=10)
        assert caught.value.where == "kind"
    else:
        assert sum(rows.size for rows in deal(partition, None, 3, rows=10)) == 10


def test_contiguous_keeps_the_order_of_the_data() -> None:
    dealt = deal(Contiguous(), None, 4, rows=10)
    assert [rows.tolist() for rows in dealt] == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]


def test_by_label_goes_through_the_classes_in_order() -> None:
    labels = np.random.default_rng(0).integers(3, size=300)
    dealt = deal(ByLabel(), labels, 12)
    seen = [labels[rows] for rows in dealt]
    assert all(left.max() <= right.min() for left, right in pairwise(seen))
    assert sum(np.unique(each).size == 1 for each in seen) >= 12 - 2


def test_by_label_shuffles_inside_a_class() -> None:
    dealt = deal(ByLabel(), np.zeros(100, dtype=np.int64), 2)
    assert not np.array_equal(dealt[0], np.arange(50))


@pytest.mark.parametrize(("gamma", "limit"), [(0.0, ByLabel()), (1.0, IID())])
def test_gamma_similarity_goes_from_by_label_to_iid(gamma: float, limit: Partition) -> None:
    labels = np.random.default_rng(0).integers(3, size=101)
    for ours, theirs in zip(deal(GammaSimilarity(gamma=gamma), labels, 7), deal(limit, labels, 7), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("gamma", [0.25, 0.5])
def test_gamma_similarity_mixes_its_share_of_the_rows_of_each_worker(gamma: float) -> None:
    """Of two classes, a worker has the other one in half of what is mixed, give or take the luck of the draw."""
    labels = np.arange(8000) % 2
    counts = [np.bincount(labels[rows], minlength=2) for rows in deal(GammaSimilarity(gamma=gamma), labels, 4)]
    np.testing.assert_allclose([count.min() for count in counts], 2000 * gamma / 2, rtol=0.15)
    assert [int(count.argmax()) for count in counts] == [0, 0, 1, 1]


def _unevenness(concentration: float) -> float:
    """Mean over workers and classes of how far a worker's part of a class is from 1/m, times m."""
    labels = np.arange(10_000) % 4
    dealt = deal(Dirichlet(concentration=concentration), labels, 10)
    counts = np.array([np.bincount(labels[rows], minlength=4) for rows in dealt])
    return float(np.abs(counts / 2500 * 10 - 1).mean())


def test_dirichlet_is_skewed_for_small_and_even_for_large_concentration() -> None:
    small, medium, large = _unevenness(0.01), _unevenness(1.0), _unevenness(1e4)
    assert small > 1.4  # nearly all of a class at one worker: (9 + 9 · 1)/10
    assert 0.3 < medium < 1.2
    assert large < 0.02


def test_dirichlet_feeds_those_who_got_nothing() -> None:
    dealt = deal(Dirichlet(concentration=1e-3), np.zeros(12, dtype=np.int64), 12)
    assert [rows.size for rows in dealt] == [1] * 12
