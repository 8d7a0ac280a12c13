from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.attacks.saddle_point import SaddlePoint
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.testing.support.attack_rounds import Round, parallel, run, vectors
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.judging import judged
from mpirobust.types import Norm, Vector


def near_a_saddle(seed: int = 0) -> Any:
    """Twenty vectors that are little but noise, shape (20, 9)."""
    rng = np.random.default_rng(seed)
    return 0.05 + rng.standard_normal((20, 9)) * rng.uniform(0.5, 2, (20, 1))


@pytest.mark.parametrize("seed", range(5))
def test_the_plain_mean_is_zero_where_reach_allows(seed: int) -> None:
    game = Round(SaddlePoint(alpha=0.2, beta=0.0), near_a_saddle(seed))
    inbox = game.inbox(game.forged())
    np.testing.assert_allclose(inbox.average(np.ones(20, bool)), 0, atol=1e-12)
    assert inbox.norms[game.config.byzantine].max() < inbox.norms[game.honest].max()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.2, 0.23, 0.3])
def test_what_norm_trimming_keeps_cancels(beta: float, seed: int) -> None:
    game = Round(SaddlePoint(alpha=0.2, beta=beta), near_a_saddle(seed))
    inbox, attackers = game.inbox(game.forged()), game.config.byzantine
    verdict = judged(NormTrim(beta=beta), inbox)
    assert verdict.kept[attackers].all()
    np.testing.assert_allclose(verdict.step, 0, atol=1e-12)


@pytest.mark.parametrize("compressor", [L1QSGD(), RandomK(k=5)], ids=["l1-qsgd", "randomk"])
@pytest.mark.parametrize("beta", [0.2, 0.3, 0.49])
@pytest.mark.parametrize("answers", [vectors(20, 9), near_a_saddle()], ids=["far", "near"])
def test_all_are_kept(compressor: Compressor, beta: float, answers: Any) -> None:
    for norm in (Norm(1.0), Norm(2.0), Norm(np.inf), Norm(2.0, claimed=True)):
        game = Round(SaddlePoint(alpha=0.2, beta=beta), answers, compressor, norm)
        inbox, attackers = game.inbox(game.forged()), game.config.byzantine
        honest = np.sort(inbox.norms[game.honest])
        assert judged(NormTrim(beta=beta), inbox).kept[attackers].all()
        assert (inbox.norms[attackers] < honest[-ceil(beta * 20 - 1e-9)]).all()


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.3])
def test_out_of_reach_it_pulls_as_hard_as_the_cut_allows(beta: float) -> None:
    game = Round(SaddlePoint(alpha=0.2, beta=beta), vectors(20, 9))
    honest, sent = game.attack()
    lengths = np.linalg.norm(honest, axis=1)
    dropped = ceil(beta * 20 - 1e-9)
    kept = honest[np.argsort(lengths)[: 16 - dropped]]
    for v in sent:
        np.testing.assert_allclose(parallel(v, -kept.mean(axis=0)), 1, rtol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(v), np.sort(lengths)[-max(1, dropped)], rtol=1e-9)


def test_compressed_differences_cancel_in_their_states() -> None:
    game = Round(SaddlePoint(alpha=0.2, beta=0.2), near_a_saddle(), states=vectors(20, 9, seed=1))
    verdict = judged(NormTrim(beta=0.2), game.inbox(game.forged()))
    assert verdict.kept[game.config.byzantine].all()
    np.testing.assert_allclose(verdict.step, 0, atol=1e-12)


def test_coded_differences_cancel_in_some_rounds() -> None:
    """One bit per coordinate: the states come up to what they should be."""
    states, answers = np.zeros((20, 9)), near_a_saddle()
    for _ in range(60):
        game = Round(SaddlePoint(alpha=0.2, beta=0.2), answers, L1QSGD(), states=states)
        inbox = game.inbox(game.forged())
        states = np.concatenate([block.copy() for _, block in inbox.blocks(np.arange(20))], axis=1)
    verdict = judged(NormTrim(beta=0.2), inbox)
    assert verdict.kept[game.config.byzantine].all()
    assert np.linalg.norm(verdict.step) < 0.01 * np.linalg.norm(states[game.honest].mean(axis=0))


@pytest.mark.parametrize("unsound", [1, 3, 4, 10, 15])
def test_unsound_messages_fill_the_cut(unsound: int) -> None:
    bad = dict.fromkeys(Round(SaddlePoint(alpha=0.2, beta=0.2), near_a_saddle()).honest[:unsound].tolist(), b"")
    game = Round(SaddlePoint(alpha=0.2, beta=0.2), near_a_saddle(), instead=bad)
    inbox = game.inbox(game.forged())
    verdict = judged(NormTrim(beta=0.2), inbox)
    assert verdict.kept[game.config.byzantine].all()
    uncut = np.linalg.norm(near_a_saddle()[game.honest[unsound:]].sum(axis=0)) / 4
    if unsound == 4:  # nobody else is dropped, and the cut is the longest that is left
        assert uncut < inbox.norms[game.honest[4:]].max()
        np.testing.assert_allclose(verdict.step, 0, atol=1e-12)


def wells(attack: dict[str, Any] | None, rule: dict[str, Any], **algorithm: Any) -> Vector:
    """Where a run on the double well ends."""
    plan = regression_plan(
        workers=20,
        data={"kind": "none", "rows": 20, "features": 5, "sigma": 0.1},
        problem={"kind": "double-well"},
        algorithm={"kind": "first-order", "rounds": 60, "step": 0.5, **algorithm},
        aggregator=rule,
        **({} if attack is None else {"attack": attack}),
    )
    return run(LocalRun(plan))[-1]


@pytest.mark.parametrize("rule", [{"kind": "mean"}, {"kind": "norm-trim", "beta": 0.3}], ids=["mean", "norm-trim"])
def test_holds_gradient_descent_at_the_saddle(rule: dict[str, Any]) -> None:
    attack = {"kind": "saddle-point", "alpha": 0.2, "beta": rule.get("beta", 0.0)}
    assert abs(wells(None, rule)[0]) > 0.9
    assert abs(wells(attack, rule)[0]) < 0.1
