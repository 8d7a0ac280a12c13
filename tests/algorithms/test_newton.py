from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.newton import Newton
from mpirobust.problems.double_well import DoubleWell
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.problems.robust_regression import RobustRegression
from mpirobust.shard import Shard
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.shards import made_shard
from mpirobust.testing.support.witness import ran
from mpirobust.types import Vector


def direction(newton: Newton, loss: Any, shard: Shard, x: Vector) -> Vector:
    state = replace(newton.start(x, LocalRun(regression_plan()).cluster), x=x)
    return newton.answer(newton.query(state), loss, shard, np.random.default_rng(0))


def hessian(loss: Any, shard: Shard, x: Vector) -> Any:
    product = loss.hessian(x, shard)
    return np.array([product(unit) for unit in np.eye(x.size)])


def newton(**fields: Any) -> dict[str, Any]:
    return {"kind": "newton", "rounds": 1, "products": 100, **fields}


def test_one_worker_solves_least_squares_in_one_step() -> None:
    local = LocalRun(regression_plan(workers=1, algorithm=newton()))
    pooled = local.dataset.train(np.arange(60))
    solution = np.linalg.lstsq(pooled.X, pooled.y, rcond=None)[0]
    np.testing.assert_allclose(ran(local).iterates[-1], solution, rtol=1e-9)


def test_the_step_is_the_mean_of_the_local_directions() -> None:
    local = LocalRun(regression_plan(algorithm=newton(step=0.5)))
    wanted = [np.linalg.lstsq(worker.clean.X, worker.clean.y, rcond=None)[0] for worker in local.workers]
    np.testing.assert_allclose(ran(local).iterates[-1], 0.5 * np.mean(wanted, axis=0), rtol=1e-6)


@pytest.mark.parametrize("damping", [0.0, 0.1, 10.0])
def test_direction_solves_the_damped_system(damping: float) -> None:
    shard, x, loss = made_shard(40, 6, 0), np.ones(6), LeastSquares()
    found = direction(Newton(rounds=1, products=50, damping=damping), loss, shard, x)
    H = hessian(loss, shard, x) + damping * np.eye(6)
    np.testing.assert_allclose(H @ found, loss.gradient(x, shard), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("products", [1, 2, 4])
def test_few_products_give_the_best_of_the_krylov_space(products: int) -> None:
    shard, x, loss = made_shard(40, 6, 0), np.ones(6), LeastSquares()
    H, g = hessian(loss, shard, x), loss.gradient(x, shard)
    K = np.column_stack([np.linalg.matrix_power(H, power) @ g for power in range(products)])
    best = K @ np.linalg.solve(K.T @ H @ K, K.T @ g)
    np.testing.assert_allclose(direction(Newton(rounds=1, products=products), loss, shard, x), best, rtol=1e-6)


def test_tolerance_ends_it() -> None:
    shard, x, loss = made_shard(40, 6, 0), np.ones(6), LeastSquares()
    H, g = hessian(loss, shard, x), loss.gradient(x, shard)
    rough = H @ direction(Newton(rounds=1, tolerance=0.1), loss, shard, x) - g
    assert 1e-6 < np.linalg.norm(rough) / np.linalg.norm(g) <= 0.1


@pytest.mark.parametrize("loss", [LeastSquares(), RobustRegression()], ids=["least-squares", "robust"])
@pytest.mark.parametrize("sparsely", [False, True])
def test_directions_without_rows_are_left_alone(loss: Any, sparsely: bool) -> None:
    """Fewer rows than parameters: the Hessian is singular, and the answer is the shortest solution."""
    shard = made_shard(4, 12, 2, sparsely=sparsely)
    found = direction(Newton(rounds=1, products=500, tolerance=0.0), loss, shard, np.zeros(12))
    g = loss.gradient(np.zeros(12), shard)
    np.testing.assert_allclose(found, np.linalg.pinv(hessian(loss, shard, np.zeros(12)), rcond=1e-10) @ g, atol=1e-7)


FLAT = Shard.of(np.zeros((3, 4)), np.zeros(3), 0, 3)  # rows that do not tilt the well


def test_curvature_that_is_not_positive_ends_it() -> None:
    shard, x = FLAT, np.array([0.3, 0.0, 0.0, 0.0])
    g = DoubleWell().gradient(x, shard)
    np.testing.assert_array_equal(direction(Newton(rounds=1), DoubleWell(), shard, x), g)  # negative at once
    x = np.array([0.01, 1.0, 0.0, 0.0])
    found = direction(Newton(rounds=1), DoubleWell(), shard, x)  # 1 along g, then negative
    g = DoubleWell().gradient(x, shard)
    np.testing.assert_allclose(found, g * (g @ g) / (g @ DoubleWell().hessian(x, shard)(g)), rtol=1e-12)


def test_no_gradient_no_direction() -> None:
    np.testing.assert_array_equal(direction(Newton(rounds=1), DoubleWell(), FLAT, np.zeros(4)), np.zeros(4))


def test_trimming_by_norm_drops_noise() -> None:
    local = LocalRun(
        regression_plan(
            algorithm=newton(rounds=10, damping=0.1),
            aggregator={"kind": "norm-trim", "beta": 0.34},
            attack={"kind": "gaussian", "alpha": 0.34, "variance": 1e6},
        )
    )
    witness = ran(local)
    assert not np.array(witness.kept)[:, local.byzantine].any()
    solution = local.dataset.solution()
    assert solution is not None
    assert np.linalg.norm(witness.iterates[-1] - solution) < 0.2 * np.linalg.norm(solution)
