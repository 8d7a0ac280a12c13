"""Fang et al. 2020: the attacks on trimmed mean and median, and on Krum."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.krum import Krum
from mpirobust.aggregators.median import Median
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.attacks.fang_krum import FangKrum
from mpirobust.attacks.fang_trim import FangTrim
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.testing.support.judging import judged


@pytest.mark.parametrize("b", [2.0, 10.0])
def test_every_entry_is_beyond_the_honest_ones_on_the_side_against_the_mean(b: float) -> None:
    for seed in range(5):
        honest, sent = Round(FangTrim(alpha=0.2, b=b), vectors(20, 9, seed) + 0.5).attack()
        down = honest.mean(axis=0) > 0
        least, largest = honest.min(axis=0), honest.max(axis=0)
        low = np.where(down, np.minimum(least * b, least / b), largest)
        high = np.where(down, least, np.maximum(largest * b, largest / b))
        assert (sent >= low).all()
        assert (sent <= high).all()
        assert len(np.unique(sent, axis=0)) == len(sent)


def test_the_trimmed_mean_loses_all_that_is_on_the_other_side() -> None:
    """With β = α it becomes the mean of the honest entries without the f that are farthest along the mean."""
    game = Round(FangTrim(alpha=0.2), vectors(20, 9))
    honest, _ = game.attack()
    down = honest.mean(axis=0) > 0
    ordered = np.sort(honest, axis=0)
    step = judged(TrimmedMean(beta=0.2), game.inbox(game.forged())).step
    np.testing.assert_allclose(step, np.where(down, ordered[:-4].mean(axis=0), ordered[4:].mean(axis=0)), rtol=1e-12)


def test_the_median_becomes_an_honest_quantile() -> None:
    game = Round(FangTrim(alpha=0.2), vectors(20, 9))
    honest, _ = game.attack()
    ordered = np.sort(honest, axis=0)
    down = honest.mean(axis=0) > 0
    step = judged(Median(), game.inbox(game.forged())).step
    low, high = ordered[[5, 6]].mean(axis=0), ordered[[9, 10]].mean(axis=0)  # of 20: entries 9 and 10, four below
    np.testing.assert_allclose(step, np.where(down, low, high), rtol=1e-12)


def test_without_extremes_three_to_four_deviations_of_their_own_answers() -> None:
    answers = vectors(20, 9)
    game = Round(FangTrim(alpha=0.3, knowledge="own"), answers)
    _, sent = game.attack()
    own = answers[game.config.byzantine]
    away = -(sent - own.mean(axis=0)) / own.std(axis=0) * np.where(own.mean(axis=0) > 0, 1, -1)
    assert (away >= 3).all()
    assert (away <= 4).all()


@pytest.mark.parametrize(("m", "alpha"), [(20, 0.2), (20, 0.4), (50, 0.1), (9, 0.34)])
def test_krum_selects_what_is_sent_and_would_not_select_more(m: int, alpha: float) -> None:
    """Of answers that differ by more than their mean, as the paper's local models do around the last one."""
    searched = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        game = Round(FangKrum(alpha=alpha), rng.standard_normal((m, 30)) + 0.2 * rng.standard_normal(30))
        honest, sent = game.attack()
        f, size, signs = len(sent), game.receiver.strength, np.sign(honest.mean(axis=0))
        np.testing.assert_allclose(sent, np.tile(-size * signs, (f, 1)), rtol=1e-12)
        assert _selected(honest, sent[0], f)
        assert size <= _bound(honest, f) * (1 + 1e-9)
        if size < _bound(honest, f) * 0.999:
            searched += 1
            assert not _selected(honest, sent[0] * (1 + 1e-5), f)
    assert searched


def _selected(honest: NDArray[np.float64], forged: NDArray[np.float64], f: int) -> bool:
    """Whether Krum selects one of `f` forged vectors."""
    step = Krum(beta=f / (f + len(honest)))(np.vstack([honest, np.tile(forged, (f, 1))]))
    return bool((step == forged).all())


def test_where_krum_selects_nothing_on_this_ray_they_send_next_to_nothing() -> None:
    """Of answers that agree: the last of the paper's halvings."""
    honest, sent = Round(FangKrum(alpha=0.2), vectors(20, 9) + 10).attack()
    assert np.linalg.norm(sent[0]) < 1e-4 * np.linalg.norm(honest[0])


def _bound(honest: NDArray[np.float64], f: int) -> float:
    """The paper's upper bound on λ, with the last model at 0."""
    n, dim = honest.shape
    squares = np.sort(((honest[:, None] - honest) ** 2).sum(axis=2), axis=1)
    nearest = squares[:, 1 : n - 1].sum(axis=1).min()  # n - 2 = m - f - 2 of them
    return float(np.sqrt(nearest / ((n - f - 1) * dim)) + np.linalg.norm(honest, axis=1).max() / np.sqrt(dim))
