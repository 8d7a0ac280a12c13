from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context
from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.dnc import DnC
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors
from tests.aggregators.test_caf import far_from_alike


def stayed(said: NDArray[np.float64], gone: int) -> NDArray[np.intp]:
    """The rows that stay in one round, by singular vectors."""
    away = said - said.mean(axis=0)
    score = (away @ np.linalg.svd(away, full_matrices=False)[2][0]) ** 2
    return np.argsort(score, kind="stable")[: max(len(said) - gone, 1)]


@over_codes
@over_dims
@pytest.mark.parametrize(
    ("beta", "remove", "silent", "gone"), [(0.2, 1.0, (), 3), (0.2, 1.5, (1, 9), 5), (0.0, 1.0, (), 0)]
)
def test_drops_who_strays_farthest(
    code: Compressor, dim: int, beta: float, remove: float, silent: tuple[int, ...], gone: int
) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    verdict = judged(DnC(beta=beta, remove=remove), box.inbox)
    assert verdict.kept.tolist() == box.mask(stayed(box.said, gone))
    np.testing.assert_allclose(verdict.step, box.said[verdict.kept[box.workers]].mean(axis=0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_keeps_who_stays_whatever_coordinates_are_drawn(seed: int) -> None:
    said, context = vectors(14, 60, seed), Context(3, seed=seed)
    rng, times = context.stream(), np.zeros(14, int)
    for _ in range(4):
        drawn = np.sort(rng.choice(60, 20, replace=False, shuffle=False))
        times[stayed(said[:, drawn], 3)] += 1
    kept = DnC(beta=0.2, coordinates=20, iterations=4).judge(ArrayAnswers(said), None, context).kept
    np.testing.assert_array_equal(kept, times == times.max())


def test_sees_colluders_as_caf_does() -> None:
    said, _ = far_from_alike(100, 500, 7.0, 10)
    assert not judged(DnC(beta=0.1), a_round(said).inbox).kept[-10:].any()


def test_far_outliers_in_several_directions_are_too_many_for_one() -> None:
    """So that its tolerance is no bound on the step; `caf` goes on with the next direction."""
    said = vectors(20, 9)
    said[:6] = 1e3 * np.sign(np.random.default_rng(5).standard_normal((6, 9)))
    assert judged(DnC(beta=0.3), ArrayAnswers(said)).kept[:6].any()
    assert not judged(CAF(beta=0.3), ArrayAnswers(said)).kept[:6].any()


def test_does_not_see_what_is_in_other_coordinates() -> None:
    said = vectors(14, 1000)
    rule = DnC(beta=0.1, coordinates=10, iterations=1)
    worker = int(np.flatnonzero(judged(rule, ArrayAnswers(said)).kept)[0])
    said[worker, 0] = 1e6
    assert 0 not in Context().stream().choice(1000, 10, replace=False, shuffle=False)
    assert judged(rule, ArrayAnswers(said)).kept[worker]
    assert not judged(DnC(beta=0.1), ArrayAnswers(said)).kept[worker]


def test_somebody_must_be_left() -> None:
    with pytest.raises(PlanFault, match=r"^remove: 3\.0 times 3 of 9 workers leaves none"):
        DnC(beta=0.3, remove=3.0).admit(9, 0)
