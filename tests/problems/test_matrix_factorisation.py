"""Low-rank factorisation against dense linear algebra: its values, its saddles, its floor."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.problems.matrix_factorisation import MatrixFactorisation
from mpirobust.shard import Shard
from mpirobust.testing.support.attack_rounds import run
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.shards import made_shard
from mpirobust.types import Vector

SHARD = made_shard(40, 5, 0)
S = SHARD.X.T @ SHARD.X / 40
VALUES, VECTORS = np.linalg.eigh(S)


def flat_hessian(loss: MatrixFactorisation, x: Vector, shard: Shard) -> NDArray[np.float64]:
    return np.array([loss.hessian(x, shard)(v) for v in np.eye(x.size)])


@pytest.mark.parametrize("columns", [1, 2, 5, 7])
def test_the_value_is_the_squared_distance_but_for_a_constant(columns: int) -> None:
    U = np.random.default_rng(0).standard_normal((5, columns))
    expected = np.linalg.norm(U @ U.T - S) ** 2 / 4 - np.linalg.norm(S) ** 2 / 4
    np.testing.assert_allclose(MatrixFactorisation(columns=columns).value(U.ravel(), SHARD), expected)


@pytest.mark.parametrize("chosen", [each for size in range(3) for each in combinations(range(5), size)], ids=str)
def test_eigenvectors_are_critical_and_all_but_the_first_are_strict_saddles(chosen: tuple[int, ...]) -> None:
    loss = MatrixFactorisation(columns=2)
    U = np.zeros((5, 2))
    U[:, : len(chosen)] = VECTORS[:, list(chosen)] * np.sqrt(VALUES[list(chosen)])
    np.testing.assert_allclose(loss.gradient(U.ravel(), SHARD), 0, atol=1e-12)
    np.testing.assert_allclose(loss.value(U.ravel(), SHARD), -(VALUES[list(chosen)] ** 2).sum() / 4, atol=1e-12)
    lowest = np.linalg.eigvalsh(flat_hessian(loss, U.ravel(), SHARD))[0]
    assert lowest > -1e-12 if chosen == (3, 4) else lowest < -0.01


def local(**changes: Any) -> LocalRun:
    return LocalRun(regression_plan(problem={"kind": "matrix-factorisation", "columns": 2}, **changes))


def floor(local: LocalRun) -> float:
    """-1/4 (λ_1² + λ_2²) of the mean second-moment matrix of the workers."""
    moments = [worker.clean.X.T @ worker.clean.X / worker.clean.rows for worker in local.workers]
    return float(-(np.linalg.eigvalsh(np.mean(moments, axis=0))[-2:] ** 2).sum() / 4)


def test_the_workers_factorise_the_mean_of_their_matrices() -> None:
    unequal = local(workers=7)
    assert len({worker.clean.rows for worker in unequal.workers}) > 1
    ended = run(local(workers=7, algorithm={"kind": "first-order", "rounds": 400, "step": 0.2}))[-1]
    np.testing.assert_allclose(unequal.cluster.audit(ended).loss, floor(unequal), rtol=1e-6)
