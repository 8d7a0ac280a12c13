"""The two toy problems against their formulas, tilt and starting point included."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.data.sources.none import NoData
from mpirobust.errors import PlanFault
from mpirobust.problems.base import Loss
from mpirobust.problems.double_well import DoubleWell
from mpirobust.problems.matrix_factorisation import MatrixFactorisation
from mpirobust.problems.phase_retrieval import PhaseRetrieval
from mpirobust.problems.saddle import Saddle
from mpirobust.shard import Shard
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.judging import judged
from mpirobust.types import Vector

W = np.array([0.3, -1.7])


def shards(rows: int, features: int, sigma: float) -> list[Shard]:
    """One row each."""
    data = NoData(rows=rows, features=features, sigma=sigma).open([], 1)
    return [data.train(np.array([row])) for row in range(rows)]


def hessian(loss: Loss, x: Vector, shard: Shard) -> Vector:
    return np.array([loss.hessian(x, shard)(v) for v in np.eye(x.size)])


def test_two_workers_have_the_two_functions_of_the_paper() -> None:
    first, second = shards(2, 2, 0.0)
    assert Saddle().value(W, first) == pytest.approx(W[0] ** 2 - W[1] ** 2)
    assert Saddle().value(W, second) == pytest.approx(2 * W[0] ** 2 - 2 * W[1] ** 2)


def test_the_saddle_has_one_way_down_in_any_dimension() -> None:
    (shard,) = shards(1, 5, 0.0)
    np.testing.assert_array_equal(hessian(Saddle(), np.ones(5), shard), np.diag([2, 2, 2, 2, -2]))


def test_the_saddle_takes_its_curvature_from_real_targets() -> None:
    Saddle().admit(0)
    with pytest.raises(PlanFault, match="2 classes"):
        Saddle().admit(2)


def test_the_wells_are_at_the_two_unit_vectors() -> None:
    loss, (shard,) = DoubleWell(), shards(1, 4, 0.0)
    saddle, well = np.zeros(4), np.eye(4)[0]
    assert loss.value(saddle, shard) == 0
    assert loss.value(well, shard) == loss.value(-well, shard) == -0.25
    for point in (saddle, well, -well):
        np.testing.assert_array_equal(loss.gradient(point, shard), 0)
    np.testing.assert_array_equal(hessian(loss, saddle, shard), np.diag([-1, 1, 1, 1]))
    np.testing.assert_array_equal(hessian(loss, well, shard), np.diag([2, 1, 1, 1]))


@pytest.mark.parametrize("loss", [Saddle(), DoubleWell()], ids=["saddle", "double-well"])
def test_the_row_of_a_worker_is_the_noise_of_its_gradient(loss: Loss) -> None:
    quiet, noisy = shards(20, 3, 0.0), shards(20, 3, 0.1)
    x = np.array([0.2, -0.4, 1.1])
    noise = [loss.gradient(x, a) - loss.gradient(x, b) for a, b in zip(noisy, quiet, strict=True)]
    np.testing.assert_allclose(noise, [shard.X[0] for shard in noisy], atol=1e-14)
    assert 0.07 < np.std(noise) < 0.13
    tilts = [loss.value(x, a) - loss.value(x, b) for a, b in zip(noisy, quiet, strict=True)]
    np.testing.assert_allclose(tilts, [shard.X[0] @ x for shard in noisy], atol=1e-14)


@pytest.mark.parametrize("kind", [Saddle, DoubleWell, PhaseRetrieval, MatrixFactorisation])
def test_a_run_begins_at_its_distance_from_the_saddle(kind: type[Saddle]) -> None:
    points = [kind(start_norm=0.3).start(4, np.random.default_rng(seed)) for seed in range(2000)]
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.3)
    np.testing.assert_allclose(np.mean(points, axis=0), 0, atol=5 * 0.15 / 2000**0.5)
    assert not kind(start_norm=0.0).start(4, np.random.default_rng(0)).any()


def rounds_to_escape(start_norm: float) -> int | None:
    """Of gradient descent with the step 1/3 on the paper's toy: until the loss is below -1."""
    plan = regression_plan(
        workers=2,
        data={"kind": "none", "rows": 2},
        problem={"kind": "saddle", "start_norm": start_norm},
        algorithm={"kind": "first-order", "rounds": 20, "step": 1 / 3},
    )
    local = LocalRun(plan)
    state = plan.algorithm.start(local.x0, local.cluster)
    for t in range(20):
        if local.cluster.audit(state.x).loss < -1:
            return t
        inbox = local.ask(t, plan.algorithm.query(state)).answers
        state = plan.algorithm.advance(state, judged(plan.aggregator, inbox), np.random.default_rng(0))
    return None


def test_gradient_descent_doubles_its_way_out_and_never_leaves_the_saddle_itself() -> None:
    assert rounds_to_escape(1e-2) in (7, 8)  # w_2 doubles: from 0.01 or a little less to √(2/3)
    assert rounds_to_escape(0.0) is None
