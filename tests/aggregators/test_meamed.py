from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.meamed import MeaMed
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors


def by_hand(said: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    away = np.abs(said - np.median(said, axis=0))
    nearest = np.argsort(away, axis=0, kind="stable")[:count]
    return np.asarray(np.take_along_axis(said, nearest, axis=0).mean(axis=0))


@over_codes
@over_dims
@pytest.mark.parametrize(("beta", "silent", "f"), [(0.0, (), 0), (0.2, (), 3), (0.3, (1, 4), 5), (0.4, (), 6)])
def test_is_the_mean_of_the_nearest_values(
    code: Compressor, dim: int, beta: float, silent: tuple[int, ...], f: int
) -> None:
    box = a_round(vectors(15, dim), code, 0.3, silent)
    step = judged(MeaMed(beta=beta), box.inbox).step
    away = np.sort(np.abs(box.said - np.median(box.said, axis=0)), axis=0)
    count = len(box.said) - f
    clear = away[min(count, len(away) - 1)] > away[count - 1] * (1 + 1e-9) if f else np.ones(dim, dtype=bool)
    np.testing.assert_allclose(step[clear], by_hand(box.said, count)[clear], rtol=1e-10, atol=1e-12)
    assert clear.any() or not isinstance(code, Identity)


def test_a_value_is_within_the_farthest_honest_one_of_the_median_and_may_leave_their_range() -> None:
    for seed in range(20):
        said = vectors(10, 50, seed)
        said[:3] = np.random.default_rng(seed).choice([-1e6, 1e6, 2.0], said[:3].shape)
        honest, middle = said[3:], np.median(said, axis=0)
        reach = np.abs(honest - middle).max(axis=0)
        assert (np.abs(judged(MeaMed(beta=0.3), ArrayAnswers(said)).step - middle) <= reach).all()
    said = np.array([[-0.9], [0.0], [0.0], [0.0], [1.0]])  # the first is Byzantine, and 0 the least honest value
    assert judged(MeaMed(beta=0.2), ArrayAnswers(said)).step[0] < 0


def test_a_majority_must_be_left() -> None:
    with pytest.raises(PlanFault, match=r"^beta: 0\.45 of 8 workers, rounded up, is no minority"):
        MeaMed(beta=0.45).admit(8, 0)
