from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mpirobust.attacks.alie import Alie
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.testing.support.attack_rounds import Round, vectors


def test_sends_the_mean_less_z_deviations_of_the_honest_only() -> None:
    honest, sent = Round(Alie(alpha=0.2, z=1.5), vectors(20, 9)).attack()
    assert (len(honest), len(sent)) == (16, 4)
    expected = honest.mean(axis=0) - 1.5 * honest.std(axis=0)
    np.testing.assert_allclose(sent, np.tile(expected, (4, 1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("m", "f", "share"),
    [(50, 24, (50 - 24 - 2) / 26), (51, 12, (51 - 12 - 14) / 39), (200, 80, (200 - 80 - 21) / 120), (20, 8, 9 / 12)],
)
def test_z_is_the_papers(m: int, f: int, share: float) -> None:
    """Baruch et al.'s example: of 50 workers 24 corrupted, z = 1.43."""
    z = Alie(alpha=0.4).factor(m, f)
    np.testing.assert_allclose(z, norm.ppf(share), rtol=1e-12)
    if (m, f) == (50, 24):
        np.testing.assert_allclose(z, 1.43, atol=0.01)


def test_z_grows_with_the_attackers_and_is_never_negative() -> None:
    for m in (3, 4, 20, 21, 200):
        factors = [Alie(alpha=0.4).factor(m, f) for f in range(1, (m + 1) // 2)]
        assert factors == sorted(factors)
        assert factors[0] >= 0
        assert np.isfinite(factors).all()


@pytest.mark.parametrize("compressor", [L1QSGD(), TopK(k=3), RandomK(k=4)], ids=["l1-qsgd", "topk", "randomk"])
def test_what_is_coded_is_the_forgery(compressor: L1QSGD | TopK | RandomK) -> None:
    game = Round(Alie(alpha=0.2, z=1.5), vectors(20, 9), compressor)
    honest, sent = game.attack()
    forgery = honest.mean(axis=0) - 1.5 * honest.std(axis=0)
    for v in sent:
        there = v != 0
        if isinstance(compressor, L1QSGD):
            np.testing.assert_allclose(v, np.abs(forgery).mean() * np.where(forgery >= 0, 1, -1), rtol=1e-6)
        else:
            assert there.sum() == compressor.k
            np.testing.assert_allclose(v[there], forgery[there], rtol=1e-6)


def test_unsound_honest_messages_do_not_count() -> None:
    game = Round(Alie(alpha=0.2, z=1.0), vectors(20, 9), instead=dict.fromkeys(range(0, 20, 2), b"\xff" * 72))
    honest, sent = game.attack()
    assert 0 < len(honest) < 16
    np.testing.assert_allclose(sent[0], honest.mean(axis=0) - honest.std(axis=0), rtol=1e-12)
