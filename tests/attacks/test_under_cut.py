from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.attacks.under_cut import UnderCut
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.topk import TopK
from mpirobust.testing.support.attack_rounds import Round, parallel, vectors
from mpirobust.testing.support.judging import judged
from mpirobust.types import Norm


@pytest.mark.parametrize("compressor", [L1QSGD(), RandomK(k=5)], ids=["l1-qsgd", "randomk"])
@pytest.mark.parametrize("beta", [0.2, 0.3, 0.49])
def test_all_are_kept_and_none_could_be_longer(compressor: Compressor, beta: float) -> None:
    for norm in (Norm(1.0), Norm(2.0), Norm(np.inf), Norm(2.0, claimed=True)):
        game = Round(UnderCut(alpha=0.2, beta=beta), vectors(20, 9), compressor, norm)
        inbox, attackers = game.inbox(game.forged()), game.config.byzantine
        assert judged(NormTrim(beta=beta), inbox).kept[attackers].all()
        cut = np.sort(inbox.norms[game.honest])[-ceil(beta * 20 - 1e-9)]
        assert (inbox.norms[attackers] < cut).all()
        np.testing.assert_allclose(inbox.norms[attackers], cut, rtol=0.002)


@pytest.mark.parametrize("m", [3, 4, 5, 21])
@pytest.mark.parametrize("alpha", [0.34, 0.49])
def test_all_are_kept_among_few(m: int, alpha: float) -> None:
    for seed in range(5):
        game = Round(UnderCut(alpha=alpha, beta=0.49), vectors(m, 9, seed), TopK(k=2))
        kept = judged(NormTrim(beta=0.49), game.inbox(game.forged())).kept
        assert game.config.byzantine.size >= 1
        assert kept[game.config.byzantine].all()


def test_the_direction_is_minus_the_honest_mean() -> None:
    honest, sent = Round(UnderCut(alpha=0.2, beta=0.2), vectors(20, 9)).attack()
    for v in sent:
        np.testing.assert_allclose(parallel(v, -honest.mean(axis=0)), 1, rtol=1e-9)


@pytest.mark.parametrize("beta", [0.2, 0.3])
def test_under_differences_it_is_the_state_that_is_measured(beta: float) -> None:
    game = Round(UnderCut(alpha=0.2, beta=beta), vectors(20, 9), states=vectors(20, 9, seed=1))
    inbox, attackers = game.inbox(game.forged()), game.config.byzantine
    cut = np.sort(inbox.norms[game.honest])[-ceil(beta * 20 - 1e-9)]
    assert (inbox.norms[attackers] < cut).all()
    np.testing.assert_allclose(inbox.norms[attackers], cut, rtol=1e-6)


def test_a_state_that_moves_slowly_gets_there_in_some_rounds() -> None:
    """One bit per coordinate from a state that is elsewhere: the norm comes up from below and stays there."""
    states, honest = np.zeros((20, 9)), vectors(20, 9)
    for _ in range(40):
        game = Round(UnderCut(alpha=0.2, beta=0.2), honest, L1QSGD(), states=states)
        inbox = game.inbox(game.forged())
        states = np.concatenate([block.copy() for _, block in inbox.blocks(np.arange(20))], axis=1)
    assert judged(NormTrim(beta=0.2), inbox).kept[game.config.byzantine].all()
    np.testing.assert_allclose(inbox.norms[game.config.byzantine], np.sort(inbox.norms[game.honest])[-4], rtol=0.05)
    for worker in game.config.byzantine:
        assert parallel(states[worker], -states[game.honest].mean(axis=0)) > 0.95


def test_without_trimming_the_longest_honest_one_is_the_measure() -> None:
    honest, sent = Round(UnderCut(alpha=0.2, beta=0.0), vectors(20, 9)).attack()
    np.testing.assert_allclose(np.linalg.norm(sent, axis=1), np.linalg.norm(honest, axis=1).max(), rtol=1e-9)


@pytest.mark.parametrize("unsound", [1, 3, 4, 10, 15])
def test_unsound_messages_fill_the_cut(unsound: int) -> None:
    honest = Round(UnderCut(alpha=0.2, beta=0.2), vectors(20, 9)).honest
    bad = dict.fromkeys(honest[:unsound].tolist(), b"")
    game = Round(UnderCut(alpha=0.2, beta=0.2), vectors(20, 9), instead=bad)
    inbox = game.inbox(game.forged())
    assert judged(NormTrim(beta=0.2), inbox).kept[game.config.byzantine].all()
    sound = np.sort(inbox.norms[honest[unsound:]])
    cut = sound[-max(1, 4 - unsound)]
    np.testing.assert_allclose(inbox.norms[game.config.byzantine], cut, rtol=1e-9)


def test_equal_norms_leave_room_below() -> None:
    v = vectors(20, 9)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    game = Round(UnderCut(alpha=0.2, beta=0.2), v)
    inbox = game.inbox(game.forged())
    assert judged(NormTrim(beta=0.2), inbox).kept[game.config.byzantine].all()
    np.testing.assert_allclose(inbox.norms[game.config.byzantine], 1, rtol=1e-6)


def test_the_share_is_rounded_up_but_not_for_rounding_errors() -> None:
    """0.07 · 100 is a little more than 7 in float64, and seven are dropped."""
    honest, sent = Round(UnderCut(alpha=0.05, beta=0.07), vectors(100, 9)).attack()
    cut = np.sort(np.linalg.norm(honest, axis=1))[-7]
    np.testing.assert_allclose(np.linalg.norm(sent, axis=1), cut, rtol=1e-9)
