"""Phase retrieval: the sign of the targets is lost, and so is that of the solution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.problems.phase_retrieval import PhaseRetrieval
from mpirobust.shard import Shard
from mpirobust.testing.support.attack_rounds import run
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.shards import made_shard


def local(**problem: Any) -> LocalRun:
    return LocalRun(
        regression_plan(
            data={"kind": "regression", "rows": 600, "features": 4},
            problem={"kind": "phase-retrieval", **problem},
            algorithm={"kind": "first-order", "rounds": 400, "step": 0.02},
        )
    )


def test_only_the_squares_of_the_targets_matter() -> None:
    shard, x = made_shard(11, 3, 0), np.array([0.5, -1.0, 2.0])
    other = shard.with_labels(-shard.y)
    assert PhaseRetrieval().value(x, shard) == PhaseRetrieval().value(x, other)
    np.testing.assert_array_equal(PhaseRetrieval().gradient(x, shard), PhaseRetrieval().gradient(x, other))


def test_zero_is_a_maximum() -> None:
    loss, shard = PhaseRetrieval(), made_shard(50, 3, 0)
    zero = np.zeros(3)
    np.testing.assert_array_equal(loss.gradient(zero, shard), 0)
    assert (np.linalg.eigvalsh([loss.hessian(zero, shard)(v) for v in np.eye(3)]) < 0).all()


def test_across_the_solution_there_are_strict_saddles() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400_000, 2))
    loss, shard = PhaseRetrieval(), Shard.of(X, X @ [0.0, 3.0], 0, X.shape[0])
    saddle = np.array([3.0 / np.sqrt(3), 0.0])
    np.testing.assert_allclose(loss.gradient(saddle, shard), 0, atol=0.3)
    curvatures = [loss.hessian(saddle, shard)(v) for v in np.eye(2)]
    np.testing.assert_allclose(curvatures, [[2 * 9, 0], [0, -2 * 9]], atol=0.6)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_run_ends_at_one_of_the_two_solutions(side: float) -> None:
    game = local()
    w = game.dataset.solution()
    assert w is not None
    game.x0 = side * 0.01 * w
    ended = run(game)[-1]
    np.testing.assert_allclose(ended, side * w, rtol=1e-6)
    assert game.cluster.audit(ended).loss < 1e-10
