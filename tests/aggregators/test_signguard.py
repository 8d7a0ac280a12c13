from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.base import Context
from mpirobust.aggregators.signguard import SignGuard
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round


def leaning(m: int, dim: int, share: float = 0.7, seed: int = 0) -> NDArray[np.float64]:
    """Answers of like length, of whose entries about this share is positive."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.5, 1.5, (m, dim))
    return np.where(rng.random((m, dim)) < share, sizes, -sizes)


@pytest.mark.parametrize("code", [Identity(), L1QSGD(zeros="plus")], ids=repr)
@pytest.mark.parametrize("byzantine", [1, 4, 9])
def test_reversed_answers_of_the_same_length_have_other_signs(code: Compressor, byzantine: int) -> None:
    said = leaning(20, 5000)
    said[:byzantine] *= -1
    box = a_round(said, code, 0.3)
    verdict = judged(SignGuard(fraction=0.5), box.inbox)
    assert verdict.kept.tolist() == [False] * byzantine + [True] * (20 - byzantine)
    norms = np.linalg.norm(box.said, axis=1, keepdims=True)
    expected = (box.said * np.minimum(1, np.median(norms) / norms))[byzantine:].mean(axis=0)
    np.testing.assert_allclose(verdict.step, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("factor", "kept"), [(0.05, False), (0.2, True), (2.9, True), (3.2, False), (1e9, False)])
def test_lengths_are_compared_with_the_median(factor: float, kept: bool) -> None:
    said = leaning(11, 2000)
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    said[4] *= factor
    verdict = judged(SignGuard(fraction=1.0), ArrayAnswers(said))
    assert verdict.kept[4] == kept
    clipped = said[verdict.kept] * np.minimum(1, 1 / np.linalg.norm(said[verdict.kept], axis=1, keepdims=True))
    np.testing.assert_allclose(verdict.step, clipped.mean(axis=0), rtol=1e-10)


def test_the_step_is_never_longer_than_the_median_length() -> None:
    for seed in range(20):
        said = leaning(15, 300, seed=seed) * 10.0 ** np.random.default_rng(seed).uniform(-3, 3, (15, 1))
        step = judged(SignGuard(), ArrayAnswers(said)).step
        assert np.linalg.norm(step) <= np.median(np.linalg.norm(said, axis=1)) * (1 + 1e-12)


def test_takes_no_note_of_which_coordinate_has_which_sign() -> None:
    """Whoever sends an honest answer with its entries in another order is kept, whatever direction that is."""
    said = np.tile(leaning(1, 4000), (20, 1)) + 0.1 * leaning(20, 4000, 0.5)
    said[:9] = said[:9, ::-1]
    assert said[0] @ said[-1] < 0.3 * (said[-2] @ said[-1])
    assert judged(SignGuard(fraction=1.0), ArrayAnswers(said)).kept[:9].sum() > 4


@pytest.mark.parametrize("m", [1, 2, 3, 20])
def test_the_same_signs_from_all_are_one_cluster(m: int) -> None:
    said = np.abs(leaning(m, 300)) * np.where(np.arange(300) % 7, 1.0, -1.0)
    assert judged(SignGuard(fraction=1.0), ArrayAnswers(said)).kept.all()


def test_where_no_length_passes_there_is_no_step() -> None:
    verdict = SignGuard(low=0.5, high=1.5).judge(ArrayAnswers(np.array([[1.0, 0.0], [100.0, 0.0]])), None, Context())
    assert verdict.step.tolist() == [0.0, 0.0]
    assert not verdict.kept.any()
