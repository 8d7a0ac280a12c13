from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.monna import MoNNA
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import context_of, judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors


@over_codes
@over_dims
@pytest.mark.parametrize(("silent", "count"), [((), 9), ((1, 4), 7)])
def test_is_the_mean_of_the_nearest(code: Compressor, dim: int, silent: tuple[int, ...], count: int) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    by_worker, by_center = MoNNA(beta=0.3, trusted=6), MoNNA(beta=0.3)
    pivots = {by_worker: box.said[box.workers == 6][0], by_center: context_of(by_center, box.inbox).answer}
    for rule, pivot in pivots.items():
        verdict = judged(rule, box.inbox)
        nearest = np.argsort(np.linalg.norm(box.said - pivot, axis=1), kind="stable")[:count]
        assert verdict.kept.tolist() == box.mask(nearest)
        np.testing.assert_allclose(verdict.step, box.said[nearest].mean(axis=0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("f", [1, 3, 6])
@pytest.mark.parametrize("size", [1.0, 1e3, 1e100])
def test_is_within_the_farthest_honest_message_of_the_one_that_is_trusted(f: int, size: float) -> None:
    said = vectors(14, 9, seed=f)
    said[-f:] = size * np.random.default_rng(f).standard_normal((f, 9))
    step = judged(MoNNA(beta=f / 14, trusted=0), ArrayAnswers(said)).step
    assert np.linalg.norm(step - said[0]) <= np.linalg.norm(said[:-f] - said[0], axis=1).max()


def test_a_trusted_worker_who_is_not_honest_takes_all_along() -> None:
    said = vectors(14, 9)
    said[:6] = 1e6
    assert np.abs(judged(MoNNA(beta=0.45, trusted=0), ArrayAnswers(said)).step).min() > 1e5
    assert np.abs(judged(MoNNA(beta=0.45, trusted=9), ArrayAnswers(said)).step).max() < 10


def test_without_the_trusted_one_there_is_no_step() -> None:
    verdict = judged(MoNNA(beta=0.1, trusted=3), a_round(vectors(10, 9), silent=(3,)).inbox)
    assert not verdict.kept.any()
    assert not verdict.step.any()


@pytest.mark.parametrize(
    ("rule", "byzantine", "says"),
    [
        (MoNNA(beta=0.45), 0, "is no minority"),
        (MoNNA(beta=0.2, trusted=8), 0, "8 is no number of 0 to 7"),
        (MoNNA(beta=0.2), 3, "less than 3 Byzantine"),
    ],
)
def test_what_does_not_fit_is_refused(rule: MoNNA, byzantine: int, says: str) -> None:
    with pytest.raises(PlanFault, match=says):
        rule.admit(8, byzantine)
