from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.attacks.collude import Collude
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.testing.support.attack_rounds import Round, parallel, run, vectors
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Norm


@pytest.mark.parametrize("fraction", [0.9, 2.5])
def test_all_send_minus_the_mean_direction_at_a_fraction_of_the_median_norm(fraction: float) -> None:
    honest, sent = Round(Collude(alpha=0.2, fraction=fraction), vectors(20, 9)).attack()
    median = np.median(np.linalg.norm(honest, axis=1))
    for v in sent:
        np.testing.assert_allclose(np.linalg.norm(v), fraction * median, rtol=1e-9)
        np.testing.assert_allclose(parallel(v, -honest.mean(axis=0)), 1, rtol=1e-9)


@pytest.mark.parametrize("compressor", [L1QSGD(), RandomK(k=5)], ids=["l1-qsgd", "randomk"])
def test_the_center_measures_no_more_than_that_fraction(compressor: Compressor) -> None:
    for norm in (Norm(1.0), Norm(2.0), Norm(np.inf), Norm(2.0, claimed=True)):
        game = Round(Collude(alpha=0.2), vectors(20, 9), compressor, norm)
        norms = game.inbox(game.forged()).norms
        wanted, sent = 0.9 * np.median(norms[game.honest]), norms[game.config.byzantine]
        assert (sent <= wanted).all()
        np.testing.assert_allclose(sent, wanted, rtol=0.002)


def test_a_mean_that_overflows_has_no_direction() -> None:
    vectors = np.full((20, 9), 1.7e308)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a run
        game = Round(Collude(alpha=0.25), vectors, norm=Norm(np.inf))
        norms = game.inbox(game.forged()).norms
    assert np.isfinite(norms).all()
    assert not norms[game.config.byzantine].any()


def distances(attack: dict[str, Any]) -> list[float]:
    """From the solution, round after round, under trimming by norm at one bit per coordinate."""
    plan = regression_plan(
        workers=100,
        data={"kind": "regression", "rows": 400, "features": 200},
        algorithm={"kind": "first-order", "rounds": 60, "step": 0.5},
        compressor={"kind": "l1-qsgd"},
        aggregator={"kind": "norm-trim", "beta": 0.11},
        attack={"alpha": 0.1, **attack},
    )
    local = LocalRun(plan)
    solution = local.dataset.solution()
    assert solution is not None
    return [float(np.linalg.norm(x - solution)) for x in run(local)]


def test_makes_trimming_by_norm_diverge_at_one_in_ten() -> None:
    attacked = distances({"kind": "collude"})
    assert attacked[-1] > 5 * attacked[0]


@pytest.mark.parametrize("attack", [{"kind": "gaussian"}, {"kind": "negative"}, {"kind": "collude", "fraction": 0.1}])
def test_others_do_not(attack: dict[str, Any]) -> None:
    attacked = distances(attack)
    assert attacked[-1] < 0.3 * attacked[0]


def test_colluders_agree_to_the_bit() -> None:
    game = Round(Collude(alpha=0.2), vectors(20, 9), L1QSGD())
    sent = game.forged()
    assert len({bytes(sent[worker]) for worker in game.config.byzantine}) == 1
