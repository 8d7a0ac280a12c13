from __future__ import annotations

import numpy as np
import pytest

from mpirobust.attacks.mimic import Mimic
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.types import Norm


@pytest.mark.parametrize("claimed", [False, True], ids=["II", "I"])
@pytest.mark.parametrize("compressor", [Identity(), L1QSGD(), TopK(k=3)], ids=["identity", "l1-qsgd", "topk"])
def test_sends_the_bytes_and_the_claim_of_the_first_honest_worker(compressor: Compressor, claimed: bool) -> None:
    game = Round(Mimic(alpha=0.2), vectors(20, 9), compressor, Norm(1.0, claimed))
    sent = game.forged()
    for worker in game.config.byzantine:
        assert sent[worker] == game.due[game.honest[0]]
    assert game.inbox(sent).norms[game.config.byzantine].tolist() == [game.inbox(sent).norms[game.honest[0]]] * 4


def test_an_unsound_worker_is_passed_over() -> None:
    first, second = Round(Mimic(alpha=0.2), vectors(20, 9)).honest[:2]
    game = Round(Mimic(alpha=0.2), vectors(20, 9), instead={int(first): b"\xff" * 72})
    assert all(game.forged()[worker] == game.due[second] for worker in game.config.byzantine)


def test_with_codes_of_their_own_the_vector_is_coded_anew() -> None:
    """Its bytes would stand for values elsewhere."""
    game = Round(Mimic(alpha=0.2), vectors(20, 9), RandomK(k=5))
    honest, sent = game.attack()
    for v in sent:
        there = v != 0
        assert there.any()
        assert not there.all()
        np.testing.assert_array_equal(v[there], honest[0][there])


def test_under_differences_the_state_follows_that_of_the_first_honest_worker() -> None:
    game = Round(Mimic(alpha=0.2), vectors(20, 9), states=vectors(20, 9, seed=1))
    honest, sent = game.attack()
    np.testing.assert_allclose(sent, np.tile(honest[0], (4, 1)), rtol=1e-12, atol=1e-14)
