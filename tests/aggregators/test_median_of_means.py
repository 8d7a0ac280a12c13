from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.median_of_means import MedianOfMeans
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, pull, vectors
from tests.support.plans import changed, fault


@over_codes
@over_dims
@pytest.mark.parametrize("silent", [(), (2, 3)])
def test_is_the_geometric_median_of_the_means(code: Compressor, dim: int, silent: tuple[int, ...]) -> None:
    box = a_round(vectors(20, dim), code, 0.3, silent)
    verdict = judged(MedianOfMeans(groups=5), box.inbox)
    means = [box.said[box.workers // 4 == group].mean(axis=0) for group in range(5)]
    assert pull(np.array(means), verdict.step) < 1e-5
    assert verdict.kept.tolist() == box.mask(slice(None))


def test_one_group_is_the_mean_and_a_group_each_the_geometric_median() -> None:
    box = a_round(vectors(10, 9))
    np.testing.assert_allclose(judged(MedianOfMeans(groups=1), box.inbox).step, box.said.mean(axis=0), rtol=1e-12)
    assert pull(box.said, judged(MedianOfMeans(groups=10), box.inbox).step) < 1e-5


def test_leaves_out_groups_of_which_nobody_is_sound() -> None:
    box = a_round(vectors(12, 9), silent=(0, 1, 2, 7))
    means = [box.said[box.workers // 3 == group].mean(axis=0) for group in (1, 2, 3)]
    assert pull(np.array(means), judged(MedianOfMeans(groups=4), box.inbox).step) < 1e-5


@pytest.mark.parametrize("size", [1e3, 1e100])
def test_stands_a_minority_of_spoilt_groups(size: float) -> None:
    said = vectors(21, 9)
    said[[0, 4, 9]] = size
    step = judged(MedianOfMeans(groups=7), a_round(said).inbox).step
    assert np.linalg.norm(step - np.delete(said, [0, 4, 9], axis=0).mean(axis=0)) < 10


def test_needs_more_groups_than_twice_the_byzantine() -> None:
    MedianOfMeans(groups=7).admit(20, 3)
    with pytest.raises(PlanFault, match=r"^groups: 3 Byzantine workers .* of the 6 groups; choose 7 to 20"):
        MedianOfMeans(groups=6).admit(20, 3)
    with pytest.raises(PlanFault, match=r"^groups: 6 groups of 5 workers; choose at most 5"):
        MedianOfMeans(groups=6).admit(5, 0)
    assert fault(changed(("aggregator", {"kind": "median-of-means", "groups": 4}))).where == "aggregator.groups"
