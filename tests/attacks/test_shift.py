from __future__ import annotations

import numpy as np

from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.aggregators.mean import Mean
from mpirobust.attacks.shift import Shift
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.testing.support.judging import judged


def test_each_sends_its_own_answer_less_the_same_vector() -> None:
    answers = vectors(20, 9)
    game = Round(Shift(alpha=0.3, c=1.5), answers)
    honest, sent = game.attack()
    own = answers[game.config.byzantine]
    np.testing.assert_allclose(sent, own - 1.5 * honest.mean(axis=0), rtol=1e-12)
    assert len(np.unique(sent, axis=0)) == 6


def test_the_mean_moves_by_the_share_of_the_attackers() -> None:
    answers = vectors(20, 9)
    game = Round(Shift(alpha=0.3, c=2.0), answers)
    step = judged(Mean(), game.inbox(game.forged())).step
    np.testing.assert_allclose(step, answers.mean(axis=0) - 0.3 * 2.0 * answers[game.honest].mean(axis=0), rtol=1e-12)


def test_an_unsound_answer_of_its_own_counts_as_zero() -> None:
    bad = {int(Round(Shift(alpha=0.2), vectors(20, 9)).config.byzantine[0]): b""}
    honest, sent = Round(Shift(alpha=0.2, c=1.5), vectors(20, 9), instead=bad).attack()
    np.testing.assert_allclose(sent[0], -1.5 * honest.mean(axis=0), rtol=1e-12)


def test_turns_the_geometric_median_round_where_the_mean_is_short() -> None:
    """Honest answers six times as long as their mean, as in docs/RULES.md: at 40 % the step goes up and not down."""
    rng = np.random.default_rng(1)
    answers = rng.standard_normal((100, 200)) + 0.2 * rng.standard_normal(200)
    game = Round(Shift(alpha=0.4, c=3.0), answers)
    honest = answers[game.honest].mean(axis=0)
    assert judged(GeometricMedian(), game.inbox(game.due)).step @ honest > 0
    assert judged(GeometricMedian(), game.inbox(game.forged())).step @ honest < 0
