from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.attacks.lone_support import LoneSupport, Sent
from mpirobust.compressors.topk import TopK
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.testing.support.judging import judged


def skewed() -> np.ndarray:
    """Answers whose first coordinates are large, so that the others are not sent."""
    return vectors(20, 9) + 10.0 * (np.arange(9) < 4)


def test_they_fill_what_nobody_else_sends() -> None:
    game = Round(LoneSupport(alpha=0.2), skewed(), TopK(k=4))
    honest, sent = game.attack()
    assert (honest[:, :4] != 0).all()
    for v in sent:
        assert np.flatnonzero(v).tolist() == [4, 5, 6, 7]
        assert len(set(np.abs(v[4:8]))) == 1


@pytest.mark.parametrize("fraction", [0.9, -0.5])
def test_the_norm_is_a_fraction_of_the_median_and_the_signs_are_against_what_was_sent(fraction: float) -> None:
    game = Round(LoneSupport(alpha=0.2, k=3, fraction=fraction), skewed(), TopK(k=4))
    game.attack_memory = Sent(np.array([0, 0, 0, 0, -1.0, 5.0, -7.0, 3.0, 0.5]))
    honest, sent = game.attack()
    for v in sent:
        assert np.sign(v[4:]).tolist() == [0, *(np.sign(fraction) * np.array([-1, 1, -1])), 0]
        norm = abs(fraction) * np.median(np.linalg.norm(honest, axis=1))
        np.testing.assert_allclose(np.linalg.norm(v), norm, rtol=1e-6)


def test_norm_trimming_keeps_them_and_steps_where_no_honest_worker_goes() -> None:
    game = Round(LoneSupport(alpha=0.2), skewed(), TopK(k=4))
    honest, sent = game.attack()
    verdict = judged(NormTrim(beta=0.2), game.inbox(game.forged()))
    assert verdict.kept[game.config.byzantine].all()
    assert not honest[:, 4:].any()
    np.testing.assert_allclose(verdict.step[4:8], 4 / 16 * sent[0, 4:8], rtol=1e-6)
