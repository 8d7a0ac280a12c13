from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms._ball import uniform_in_ball
from mpirobust.algorithms.base import escaping
from mpirobust.plan import Plan
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.witness import falls_silent, first_order, ran
from tests.support.wells import well, went_on


def perturbed(**fields: Any) -> Plan:
    rest = {key: fields.pop(key) for key in ("aggregator", "attack", "compressor", "feedback") if key in fields}
    base = {"kind": "perturbed-gd", "rounds": 60, "step": 0.1, "threshold": 0.3, "radius": 0.5, "wait": 4}
    return regression_plan(algorithm={**base, **fields}, **rest)


@pytest.mark.parametrize("feedback", ["none", "difference"])
def test_without_a_threshold_it_is_gradient_descent(feedback: str) -> None:
    tables: dict[str, Any] = {
        "compressor": {"kind": "l1-qsgd"},
        "aggregator": {"kind": "trimmed-mean", "beta": 0.3},
        "attack": {"kind": "gaussian", "alpha": 0.3},
        "feedback": feedback,
    }
    plain = ran(LocalRun(regression_plan(algorithm=first_order(rounds=60), **tables)))
    ours = ran(LocalRun(perturbed(threshold=0.0, **tables)))
    np.testing.assert_array_equal(ours.iterates, plain.iterates)
    assert ours.kept == plain.kept


@pytest.mark.parametrize("wait", [0, 1, 4, 100])
def test_perturbs_where_the_gradient_is_small_and_the_wait_is_over(wait: int) -> None:
    local = LocalRun(perturbed(wait=wait))
    pooled = local.dataset.train(np.arange(60))
    witness, last, perturbations = ran(local), None, 0
    for t, (x, after) in enumerate(zip(witness.iterates, witness.iterates[1:], strict=False)):
        gradient = local.plan.problem.gradient(x, pooled)
        waiting = last is not None and t - last <= wait
        assert escaping(witness.moments[t + 1].state) == waiting
        if np.linalg.norm(gradient) <= 0.3 and not waiting:
            last, perturbations = t, perturbations + 1
            assert 1e-3 < np.linalg.norm(after - x) <= 0.5
        else:
            np.testing.assert_allclose(after, x - 0.1 * gradient, rtol=1e-12, atol=1e-13)
    assert perturbations == 1 if wait == 100 else perturbations > 1


def test_leaves_a_saddle_where_gradient_descent_stays() -> None:
    local = well(perturbed(step=0.3, threshold=1e-3, radius=0.1, wait=50))
    assert np.linalg.norm(local.x0) == 0
    np.testing.assert_allclose(np.abs(ran(local).iterates[51]), np.eye(8)[0], atol=1e-2)


def test_goes_on_from_the_middle(tmp_path: Path) -> None:
    plan = perturbed(attack={"kind": "gaussian", "alpha": 0.3}, aggregator={"kind": "trimmed-mean", "beta": 0.3})
    whole = ran(LocalRun(plan))
    for at in range(0, 60, 3):
        np.testing.assert_array_equal(
            went_on(LocalRun(plan), whole.moments[at], tmp_path).iterates, whole.iterates[at:]
        )


def test_a_round_without_anybody_perturbs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRun(perturbed(rounds=10, threshold=0.01, aggregator={"kind": "norm-trim", "beta": 0.2}))
    falls_silent(monkeypatch, local.workers)
    iterates = ran(local).iterates
    for t in (3, 4, 5):
        np.testing.assert_array_equal(iterates[t + 1], iterates[3])


@pytest.mark.parametrize("dim", [1, 2, 5, 300])
def test_perturbations_fill_the_ball_evenly(dim: int) -> None:
    points = np.array([uniform_in_ball(dim, 3.0, np.random.default_rng(seed)) for seed in range(4000)])
    filled = (np.linalg.norm(points, axis=1) / 3.0) ** dim  # uniform on [0, 1] for points that are uniform in the ball
    assert filled.max() <= 1
    np.testing.assert_allclose(np.quantile(filled, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)
    assert np.abs(points.mean(axis=0)).max() < 5 * 3.0 / np.sqrt((dim + 2) * 4000)
