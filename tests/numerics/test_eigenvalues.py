"""The smallest eigenvalue of the honest Hessian, and what the audit makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import mul
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.algorithms.first_order import Iterate
from mpirobust.numerics.eigenvalues import smallest_eigenvalue
from mpirobust.observers.audit import Auditor, Audits
from mpirobust.observers.base import Moment, Status
from mpirobust.records.trace import Trace
from mpirobust.running import rounds
from mpirobust.stop_rules import StopRules
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.models import Matrix
from mpirobust.testing.support.witness import Witness, first_order
from mpirobust.types import Vector
from tests.support.wells import well


def matrix(eigenvalues: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(eigenvalues)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    found: NDArray[np.float64] = rotation * eigenvalues @ rotation.T
    return found


class TestSmallestEigenvalue:
    @pytest.mark.parametrize(
        "eigenvalues",
        [
            [5, 3, 1, 0.5],
            [-5, 3, 1, 0.5],
            [-1e-3, 1e3, 7],
            [1e-6, 1e-7, 0],
            [1e6, 1e5, -1e5, 7],
            [2],
            [-2],
            [4, -4, 1],
            [3, 3, 3],
            [-1, -1, 2],
            [0, 0, 0, 0],
            *(np.random.default_rng(n).standard_normal(n).tolist() for n in (30, 90)),
        ],
        ids=lambda each: str(each)[:30],
    )
    def test_is_found(self, eigenvalues: list[float]) -> None:
        H = Matrix(matrix(eigenvalues))
        found = smallest_eigenvalue(H, len(eigenvalues), seed=1)
        np.testing.assert_allclose(found, min(eigenvalues), atol=2e-6 * np.abs(eigenvalues).max())
        assert H.products <= len(eigenvalues)

    def test_one_escape_direction_among_many_is_found_soon(self) -> None:
        H = Matrix(np.diag([*np.random.default_rng(0).uniform(0, 1, 1999), -0.1]))
        np.testing.assert_allclose(smallest_eigenvalue(H, 2000, seed=1), -0.1, atol=1e-6)
        assert H.products < 60

    def test_stays_above_where_products_run_out(self) -> None:
        diagonal, done = np.linspace(0, 1, 4000) ** 2, []

        def product(v: Vector) -> Vector:
            done.append(v)
            return diagonal * v

        assert 0 < smallest_eigenvalue(product, 4000, seed=1) < 1e-3
        assert len(done) == 100

    @pytest.mark.parametrize("eigenvalues", [[1e3, *np.linspace(1, 2, 60)], np.linspace(0, 1, 80) ** 3], ids=len)
    def test_stays_orthogonal(self, eigenvalues: NDArray[np.float64]) -> None:
        """Without reorthogonalisation large eigenvalues come back again and again instead of the smallest."""
        found = smallest_eigenvalue(Matrix(matrix(eigenvalues)), len(eigenvalues), seed=1)
        np.testing.assert_allclose(found, min(eigenvalues), atol=1e-6 * max(eigenvalues))

    def test_is_nan_where_products_are_not_finite(self) -> None:
        for bad in (np.nan, np.inf):
            assert np.isnan(smallest_eigenvalue(partial(mul, bad), 3, seed=1))

    def test_is_a_function_of_the_seed(self) -> None:
        H = np.diag(np.random.default_rng(0).uniform(0, 1, 400))
        assert smallest_eigenvalue(Matrix(H), 400, 1) == smallest_eigenvalue(Matrix(H), 400, 1)
        assert smallest_eigenvalue(Matrix(H), 400, 1) != smallest_eigenvalue(Matrix(H), 400, 2)

    def test_leaves_the_products_alone(self) -> None:
        """A product may return its input, or an array of its own."""
        assert smallest_eigenvalue(lambda v: v, 5, seed=1) == pytest.approx(1)
        same = np.ones(4)
        assert smallest_eigenvalue(lambda v: same * v.sum(), 4, seed=1) == pytest.approx(0, abs=1e-5)
        assert same.tolist() == [1] * 4


def test_of_the_cluster_is_that_of_the_mean_hessian_over_clean_shards() -> None:
    local = LocalRun(regression_plan(attack={"kind": "negative", "alpha": 0.4}))
    X = local.dataset.train(np.arange(60)).X
    np.testing.assert_allclose(local.cluster.lambda_min(np.ones(8)), np.linalg.eigvalsh(X.T @ X / 60).min(), rtol=1e-6)
    saddle = well(regression_plan())
    np.testing.assert_allclose(saddle.cluster.lambda_min(np.zeros(8)), -1, rtol=1e-6)


def audited(
    local: LocalRun, x0: Vector | None = None, stop: StopRules | None = None, **settings: Any
) -> tuple[Status, Any, Trace]:
    """A run of `local` with an auditor: how it ends, its audits, and its trace."""
    plan = local.plan
    trace = Trace(plan.workers, local.config.byzantine, {})
    auditor = Auditor(Audits(**settings), stop or StopRules(), trace)
    state = Iterate(local.x0 if x0 is None else x0, 0, 0.0)
    witness = Witness()
    status = rounds.loop(plan.algorithm, plan.aggregator, local.cluster, [auditor, witness], state, 0, plan.seed)
    assert trace.audits.rows["round"][-1] == witness.moments[-1].round
    return status, trace.audits.rows, trace


def descent(rounds: int = 10, step: float = 0.3) -> LocalRun:
    return well(regression_plan(algorithm=first_order(rounds=rounds, step=step)))


class TestAuditor:
    @pytest.mark.parametrize(
        ("every", "curvature_every", "rounds", "measured"),
        [
            (1, 4, 10, [0, 4, 8, 10]),
            (2, 4, 10, [0, 4, 8, 10]),
            (2, 2, 4, [0, 2, 4]),
            (1, 100, 3, [0, 3]),
            (1, None, 3, []),
        ],
    )
    def test_measures_at_its_cadence_and_at_the_end(
        self, every: int, curvature_every: int | None, rounds: int, measured: list[int]
    ) -> None:
        rows = audited(descent(rounds), np.full(8, 0.1), every=every, curvature_every=curvature_every)[1]
        assert rows["round"][~np.isnan(rows["lambda_min"])].tolist() == measured

    def test_measures_where_the_iterate_is(self) -> None:
        local = descent(5)
        rows = audited(local, np.full(8, 0.1), curvature_every=1)[1]
        x0, x1 = 0.1, 0.1 - 0.3 * (0.1**3 - 0.1)
        np.testing.assert_allclose(rows["lambda_min"][:2], [3 * x0**2 - 1, 3 * x1**2 - 1], rtol=1e-6)

    def test_a_saddle_point_is_stationary_and_not_second_order_stationary(self) -> None:
        status, rows, _ = audited(descent(), stop=StopRules(gradient_norm=1e-3))
        assert (status, rows.size) == (Status.CONVERGED, 1)
        status, rows, _ = audited(descent(), stop=StopRules(gradient_norm=1e-3, curvature=0.1))
        assert (status, rows.size) == (Status.FINISHED, 11)
        np.testing.assert_allclose(rows["lambda_min"], -1)
        assert audited(descent(), stop=StopRules(gradient_norm=1e-3, curvature=1.1))[0] is Status.CONVERGED

    def test_is_second_order_stationary_in_the_well_and_measures_only_there(self) -> None:
        status, rows, _ = audited(descent(1000), np.full(8, 1e-3), stop=StopRules(gradient_norm=1e-3, curvature=0.1))
        assert status is Status.CONVERGED
        small = rows["gradient_norm"] <= 1e-3
        np.testing.assert_array_equal(small, ~np.isnan(rows["lambda_min"]))
        assert small[-1]
        assert rows["lambda_min"][-1] == pytest.approx(1, rel=1e-2)

    def test_the_loss_needs_no_curvature(self) -> None:
        assert audited(descent(), stop=StopRules(gradient_norm=1e-9, curvature=0.0, loss=0.0))[0] is Status.CONVERGED
        assert audited(descent(), stop=StopRules(gradient_norm=1e-9, curvature=0.0, loss=-0.05))[0] is Status.FINISHED

    def test_a_small_gradient_that_is_not_small_enough_counts_for_nothing(self) -> None:
        status, rows, _ = audited(descent(), np.full(8, 1e-3), stop=StopRules(gradient_norm=1e-5, curvature=2.0))
        assert (status, np.isnan(rows["lambda_min"]).all()) == (Status.FINISHED, True)

    def test_an_interrupted_run_measures_no_more(self) -> None:
        local = descent(10)
        trace = Trace(6, local.config.byzantine, {})
        auditor = Auditor(Audits(curvature_every=4), StopRules(), trace)
        moment = Moment(0, Iterate(local.x0, 0, 0.0), local.cluster)
        auditor.before_first_round(moment)
        for t in (1, 2):
            moment = replace(moment, round=t)
            auditor.after_round(moment)
        auditor.final_queries(moment, Status.INTERRUPTED)
        assert np.isnan(trace.audits.rows["lambda_min"]).tolist() == [False, True, True]
        auditor.final_queries(moment, Status.FINISHED)
        assert np.isnan(trace.audits.rows["lambda_min"]).tolist() == [False, True, False]
