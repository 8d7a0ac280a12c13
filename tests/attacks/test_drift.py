from __future__ import annotations

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.attacks.drift import Drift, Drifted
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.testing.support.clusters import LocalRun, regression_plan


def test_in_a_round_the_offset_moves_by_the_rate_and_against_the_mean() -> None:
    former = vectors(1, 9, seed=3)[0]
    game = Round(Drift(alpha=0.2, rate=0.2), vectors(20, 9))
    game.attack_memory = Drifted(former)
    honest, sent = game.attack()
    mean, deviation = honest.mean(axis=0), honest.std(axis=0)
    np.testing.assert_allclose(sent[0], mean + former - 0.2 * deviation * np.sign(mean), rtol=1e-12)


def test_the_offset_is_bounded_if_it_is_asked_for() -> None:
    game = Round(Drift(alpha=0.2, most=0.5), vectors(20, 9))
    game.attack_memory = Drifted(100 * vectors(1, 9, seed=3)[0])
    honest, sent = game.attack()
    away = np.abs(sent - honest.mean(axis=0)) / honest.std(axis=0)
    np.testing.assert_allclose(away, 0.5, rtol=1e-9)


@pytest.mark.parametrize("feedback", ["difference", "residual"])
def test_no_round_shows_what_adds_up(feedback: str) -> None:
    """The changes of a forged state are within the honest spread, and after many rounds the state is far outside."""
    plan = regression_plan(workers=20, feedback=feedback, attack={"kind": "drift", "alpha": 0.2, "rate": 0.3})
    local = LocalRun(plan)
    rows = []
    for t in range(40):
        answers = local.ask(t, Query((local.x0,))).answers
        rows.append(np.concatenate([block.copy() for _, block in answers.blocks(np.arange(20))], axis=1))
    states = np.array(rows)
    honest, forged = states[:, ~local.byzantine], states[:, local.byzantine]
    deviation = honest.std(axis=1)
    changes = np.abs(np.diff(forged, axis=0) - np.diff(honest.mean(axis=1), axis=0)[:, None])
    assert (changes <= 0.3 * deviation[1:, None] * (1 + 1e-9) + 1e-12).all()
    away = np.abs(forged[:, 0] - honest.mean(axis=1)) / deviation
    np.testing.assert_allclose(away[-1], 0.3 * 40, rtol=1e-6)
