"""Cubic Newton against P2 Algorithm 1, with center and workers in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms._arc import adapted
from mpirobust.algorithms.base import Query
from mpirobust.algorithms.cubic_newton import Asked, CubicNewton, Iteration
from mpirobust.components import Field, component
from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.cubic.descent import Descent
from mpirobust.cubic.exact import Exact
from mpirobust.cubic.lanczos import Lanczos
from mpirobust.errors import PlanFault
from mpirobust.feedback.none import NoFeedback
from mpirobust.plan import Plan
from mpirobust.problems.base import Loss
from mpirobust.problems.logistic import Logistic
from mpirobust.shard import Shard
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.shards import made_shard
from mpirobust.testing.support.witness import ran
from mpirobust.types import Vector

EXACT = {"kind": "exact"}
LOSS = Logistic()


def cubic(**fields: Any) -> dict[str, Any]:
    return {"kind": "cubic-newton", "rounds": 6, "M": 10.0, "solver": EXACT, **fields}


def run_of(*, feedback: str = "none", compressor: str = "identity", k: int = 3, **fields: Any) -> LocalRun:
    codes: dict[str, dict[str, Any]] = {"identity": {"kind": "identity"}, "topk": {"kind": "topk", "k": k}}
    return LocalRun(regression_plan(algorithm=cubic(**fields), feedback=feedback, compressor=codes[compressor]))


def minimisers(
    local: LocalRun, x: Vector, *, g: Vector | None = None, M: float = 10.0, gamma: float = 1.0
) -> list[Vector]:
    """The exact `s_i` of every worker at `x`, for its own gradient or for `g`."""
    loss, steps = local.config.loss, []
    for worker in local.workers:
        here = loss.gradient(x, worker.clean) if g is None else g
        steps.append(Exact().solve(CubicModel(here, loss.hessian(x, worker.clean), M, gamma), np.random.default_rng(0)))
    return steps


def gradient(local: LocalRun, x: Vector) -> Vector:
    mean: Vector = np.mean([local.config.loss.gradient(x, worker.clean) for worker in local.workers], axis=0)
    return mean


def test_an_iteration_adds_eta_times_the_mean_of_the_local_minimisers() -> None:
    """P2 Alg. 1 l. 5-6."""
    local = run_of(eta=0.7, gamma=1.3, M=4.0)
    iterates = ran(local).iterates
    x = local.x0
    for found in iterates[1:]:
        x = x + 0.7 * np.mean(minimisers(local, x, M=4.0, gamma=1.3), axis=0)
        np.testing.assert_allclose(found, x, rtol=1e-9, atol=1e-12)
    assert len(iterates) == 7


def test_with_almost_no_cubic_term_one_worker_takes_the_newton_step() -> None:
    local = LocalRun(regression_plan(workers=1, algorithm=cubic(M=1e-12)))
    X, y = local.workers[0].clean.X, local.workers[0].clean.y
    np.testing.assert_allclose(ran(local).iterates[1], np.linalg.lstsq(X, y)[0], rtol=1e-6)


def test_two_rounds_solve_for_the_global_gradient() -> None:
    """P2 Remark 10: the point stands still while the gradients come in."""
    local = run_of(two_rounds=True, eta=0.7)
    witness = ran(local)
    x = local.x0
    for t in (1, 3, 5):
        np.testing.assert_array_equal(witness.iterates[t], witness.iterates[t - 1])
        x = x + 0.7 * np.mean(minimisers(local, x, g=gradient(local, x)), axis=0)
        np.testing.assert_allclose(witness.iterates[t + 1], x, rtol=1e-9, atol=1e-12)


def test_two_rounds_end_where_the_gradient_is_zero_and_one_round_does_not() -> None:
    data = {"kind": "regression", "rows": 600, "features": 8, "noise": 0.3}  # enough rows for Hessians that are alike
    norms = []
    for fields in ({"rounds": 40}, {"rounds": 80, "two_rounds": True}):
        local = LocalRun(regression_plan(data=data, algorithm=cubic(M=1.0, **fields)))
        norms.append(np.linalg.norm(gradient(local, ran(local).iterates[-1])))
    assert norms[1] < 1e-10 < 1e-4 < norms[0]


def test_every_exchange_of_two_rounds_is_counted() -> None:
    """The step carries the gradient down beside the point."""
    witness = ran(run_of(two_rounds=True))
    down = [moment.exchange.bytes_down for moment in witness.moments[1:] if moment.exchange is not None]
    assert len(down) == 6
    assert down[1] - down[0] == 6 * 8 * 8  # workers, numbers, bytes
    assert down == down[:2] * 3


def test_the_gradients_of_two_rounds_are_trimmed_as_well() -> None:
    attack = {"kind": "gaussian", "alpha": 0.17, "variance": 1e6}
    rule = {"kind": "norm-trim", "beta": 0.17}
    local = LocalRun(regression_plan(algorithm=cubic(two_rounds=True), aggregator=rule, attack=attack))
    kept = np.array(ran(local).kept)
    assert local.byzantine.sum() == 1
    assert not kept[:, local.byzantine].any()
    assert (kept.sum(axis=1) == 4).all()


def test_residual_feedback_loses_nothing() -> None:
    """x_t + mean residual is the sum of all steps: what a message leaves out comes later (P1 Alg. 2)."""
    local = run_of(feedback="residual", compressor="topk", rounds=5, eta=0.5)
    witness = ran(local)
    taken = local.x0.copy()
    for x in witness.iterates[:-1]:
        taken += 0.5 * np.mean(minimisers(local, x), axis=0)
    left = np.mean([worker.memory["residual"] for worker in local.workers], axis=0)
    assert np.abs(left).max() > 1e-3
    np.testing.assert_allclose(witness.iterates[-1] + left, taken, rtol=1e-9, atol=1e-12)


def test_differences_of_all_coordinates_are_the_answers() -> None:
    plain, differences = (ran(run_of(feedback=feedback)).iterates[-1] for feedback in ("none", "difference"))
    np.testing.assert_allclose(differences, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("two_rounds", [False, True])
def test_momentum_goes_on_from_where_the_step_ends(two_rounds: bool) -> None:
    """By no more than ρ, and by no more than the step is long (Wang et al. 2020)."""
    local = run_of(rounds=12, momentum=0.3, two_rounds=two_rounds)
    iterates = ran(local).iterates[:: 2 if two_rounds else 1]
    x = y = local.x0
    lengths = []
    for found in iterates[1:]:
        step = np.mean(minimisers(local, x, g=gradient(local, x) if two_rounds else None), axis=0)
        lengths.append(np.sqrt(step @ step))
        y_before, y = y, x + step
        x = y + min(0.3, lengths[-1]) * (y - y_before)
        np.testing.assert_allclose(found, x, rtol=1e-8, atol=1e-11)
    assert min(lengths) < 0.3 < max(lengths)


@pytest.mark.parametrize("two_rounds", [False, True])
def test_only_eta_over_gamma_matters(two_rounds: bool) -> None:
    """So the choice η = γ = c/T of P2 Thm 4 is η = γ = 1, here also under error feedback of what top-k leaves out."""
    fields: dict[str, Any] = {"two_rounds": two_rounds, "feedback": "none" if two_rounds else "residual"}
    one, other = (ran(run_of(eta=2 * c, gamma=c, compressor="topk", **fields)).iterates[-1] for c in (1.0, 1 / 32))
    np.testing.assert_allclose(other, one, rtol=1e-8)


@component
class Witness(CubicSolver):
    """Remembers what it was asked to solve."""

    models: list[CubicModel] = Field(default_factory=list)

    def admit(self, loss: Loss) -> None:
        pass

    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        self.models.append(model)
        return 0 * model.g


class TestBatches:
    """Kohler, Lucchi 2017: rows without replacement, gradient and Hessian apart."""

    SHARD = made_shard(40, 6, 2)
    X = np.linspace(-1, 1, 6)

    def answer(self, **fields: Any) -> Vector:
        algorithm = CubicNewton(rounds=1, M=2.0, solver=Exact(), **fields)
        return algorithm.answer(Query((self.X,)), LOSS, self.SHARD, np.random.default_rng(4))

    def expected(self, for_gradient: Shard, for_hessian: Shard) -> Vector:
        model = CubicModel(LOSS.gradient(self.X, for_gradient), LOSS.hessian(self.X, for_hessian), 2.0, 1.0)
        return Exact().solve(model, np.random.default_rng(0))

    def test_each_is_drawn_by_itself(self) -> None:
        rng = np.random.default_rng(4)
        first, second = (self.SHARD.take(np.sort(rng.choice(40, size, replace=False))) for size in (7, 9))
        np.testing.assert_allclose(self.answer(gradient_batch=7, hessian_batch=9), self.expected(first, second))

    def test_one_alone(self) -> None:
        some = self.SHARD.take(np.sort(np.random.default_rng(4).choice(40, 9, replace=False)))
        np.testing.assert_allclose(self.answer(hessian_batch=9), self.expected(self.SHARD, some))
        np.testing.assert_allclose(self.answer(gradient_batch=9), self.expected(some, self.SHARD))

    def test_a_small_shard_is_used_whole(self) -> None:
        np.testing.assert_array_equal(self.answer(gradient_batch=40, hessian_batch=99), self.answer())

    def test_the_bound_holds_for_the_drawn_rows(self) -> None:
        bound = LOSS.curvature()
        assert bound is not None
        for seed in range(30):
            witness = Witness()
            algorithm = CubicNewton(rounds=1, M=2.0, solver=witness, hessian_batch=3)
            algorithm.answer(Query((self.X,)), LOSS, self.SHARD, np.random.default_rng(seed))
            some = self.SHARD.take(np.sort(np.random.default_rng(seed).choice(40, 3, replace=False)))
            (model,) = witness.models
            assert model.bound is not None
            assert bound(some) <= model.bound()
        CubicNewton(rounds=1, M=2.0, solver=witness).answer(
            Query((self.X,)), LOSS, self.SHARD, np.random.default_rng(0)
        )
        model = witness.models[-1]
        assert model.bound is not None
        assert model.bound() == bound(self.SHARD)


class TestAdaptive:
    """The test of ARC (Cartis, Gould, Toint 2011), on `F(u) = gᵀu + c/6 ||u||³`, whose model is exact for M = c."""

    G = np.array([3.0, -4.0])

    def adapted(self, M: float, c: float, tries: int, gamma: float = 1.0) -> tuple[Vector, list[float]]:
        asked: list[float] = []

        @component
        class Recording(CubicSolver):
            def admit(self, loss: Loss) -> None:
                pass

            def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
                asked.append(model.M)
                return Exact().solve(model, rng)

        def change(u: Vector) -> float:
            return float(self.G @ u + c / 6 * np.linalg.norm(u) ** 3)

        model = CubicModel(self.G, lambda v: 0 * v, M, gamma)
        return adapted(Recording(), model, change, 1.0, tries, np.random.default_rng(0)), asked

    @pytest.mark.parametrize("gamma", [1.0, 0.3])
    @pytest.mark.parametrize(
        ("c", "tried", "taken"),
        [
            (0.0, [16, 4, 1, 0.25], 0.25),  # falls as long as it may
            (4.0, [16, 4, 1], 4),  # ratio 1 at M = c, then -0.5 at c/4
            (16.0, [16, 4], 16),
            (40.0, [16], 16),  # 0.25: neither
            (64.0, [16, 64], 64),
            (1e6, [16, 64, 256, 1024], 1024),  # no luck: the shortest
        ],
    )
    def test_it_falls_while_very_successful_and_rises_until_successful(
        self, c: float, tried: list[float], taken: float, gamma: float
    ) -> None:
        s, asked = self.adapted(16.0, c, 3, gamma)
        assert asked == tried
        model = CubicModel(self.G, lambda v: 0 * v, taken, gamma)
        np.testing.assert_allclose(s, Exact().solve(model, np.random.default_rng(0)))

    def test_no_change_is_judged_by_rounding(self) -> None:
        model = CubicModel(1e-14 * self.G, lambda v: v, 1.0, 1.0)
        s = adapted(Exact(), model, lambda _: np.nan, 1.0, 3, np.random.default_rng(0))
        np.testing.assert_array_equal(s, Exact().solve(model, np.random.default_rng(0)))

    def test_a_bolder_step_goes_farther_down(self) -> None:
        shard, x = made_shard(40, 6, 2), np.linspace(-1, 1, 6)
        plain = CubicNewton(rounds=1, M=10.0).answer(Query((x,)), LOSS, shard, np.random.default_rng(0))
        bold = CubicNewton(rounds=1, M=10.0, adaptive=3).answer(Query((x,)), LOSS, shard, np.random.default_rng(0))
        assert LOSS.value(x + bold, shard) < LOSS.value(x + plain, shard)

    def test_a_global_gradient_is_tested_with_what_it_adds(self) -> None:
        """Where it is the local one, both rounds answer alike; where it is another, the tilt is as if F_i had it."""
        shard, x = made_shard(40, 6, 2), np.linspace(-1, 1, 6)
        algorithm = CubicNewton(rounds=2, M=10.0, adaptive=5, two_rounds=True)
        g = LOSS.gradient(x, shard)
        rng = np.random.default_rng
        one = CubicNewton(rounds=2, M=10.0, adaptive=5).answer(Query((x,)), LOSS, shard, rng(0))
        np.testing.assert_array_equal(algorithm.answer(Query((x, g)), LOSS, shard, rng(0)), one)
        away = -3 * g  # uphill for F_i alone: without the tilt no M would do
        M = 10.0 / 4**5
        step = algorithm.answer(Query((x, away)), LOSS, shard, rng(0))
        plain = CubicNewton(rounds=2, M=10.0, two_rounds=True).answer(Query((x, away)), LOSS, shard, rng(0))
        bound = CubicNewton(rounds=2, M=M, two_rounds=True).answer(Query((x, away)), LOSS, shard, rng(0))
        assert np.linalg.norm(plain) < np.linalg.norm(step) <= np.linalg.norm(bound)


def test_a_gradient_that_overflows_is_answered_as_it_is() -> None:
    """Its message is unsound; the solver is not asked."""
    shard = Shard.of(np.full((2, 3), 1e200), np.array([0.0, 1.0]), 2, 2)
    algorithm = CubicNewton(rounds=1, M=1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        answer = algorithm.answer(Query((np.ones(3),)), LOSS, shard, np.random.default_rng(0))
        assert not np.isfinite(np.sqrt(answer @ answer))


@pytest.mark.parametrize("solver", [Lanczos(), Descent(), Descent(step="published"), Exact()])
def test_rows_without_a_feature_at_a_zero_gradient(solver: Any) -> None:
    """Such a shard answers zero: there is nothing to divide by."""
    shard = Shard.of(np.zeros((4, 3)), np.zeros(4), 2, 4)
    algorithm = CubicNewton(rounds=1, M=10.0, solver=solver)
    for loss in (Logistic(l2=0.0), Logistic()):
        answer = algorithm.answer(Query((np.zeros(3),)), loss, shard, np.random.default_rng(0))
        np.testing.assert_array_equal(answer, np.zeros(3))


@component
class Refusing(CubicSolver):
    """Solves nothing."""

    def admit(self, loss: Loss) -> None:
        raise PlanFault("kind", "not for this problem")

    def solve(self, model: CubicModel, rng: np.random.Generator) -> Vector:
        return model.g


class TestPlan:
    def fault(self, **changes: Any) -> PlanFault:
        with pytest.raises(PlanFault) as caught:
            regression_plan(**changes)
        return caught.value

    def test_an_odd_number_of_rounds_would_end_amid_an_iteration(self) -> None:
        found = self.fault(algorithm=cubic(rounds=7, two_rounds=True))
        assert "takes two rounds" in found.reason
        assert found.where == "algorithm"
        regression_plan(algorithm=cubic(rounds=7))

    @pytest.mark.parametrize("feedback", ["residual", "difference"])
    def test_feedback_would_mix_gradients_and_steps(self, feedback: str) -> None:
        found = self.fault(algorithm=cubic(two_rounds=True), feedback=feedback)
        assert found.where == "algorithm.two_rounds"
        assert "between gradients and steps" in found.reason
        regression_plan(algorithm=cubic(), feedback=feedback)

    def test_a_solver_may_refuse_a_problem(self) -> None:
        with pytest.raises(PlanFault, match=r"solver\.kind: not for this problem"):
            CubicNewton(rounds=6, M=10.0, solver=Refusing()).admit(LOSS, NoFeedback())

    def test_the_solver_is_a_table_of_its_own(self) -> None:
        found = self.fault(algorithm=cubic(solver={"kind": "lanczos", "product": 3}))
        assert found.where == "algorithm.solver.product"
        assert "did you mean 'products'" in found.reason
        found = self.fault(algorithm=cubic(solver={"kind": "newton"}))
        assert found.where == "algorithm.solver.kind"
        assert "descent, exact, lanczos" in found.reason

    def test_lanczos_with_ten_products_is_the_default(self) -> None:
        table = {"kind": "cubic-newton", "rounds": 6, "M": 10.0}
        plan = regression_plan(algorithm=table)
        assert isinstance(plan.algorithm, CubicNewton)
        assert plan.algorithm.solver == Lanczos(products=10)
        assert plan.table()["algorithm"]["solver"] == {"kind": "lanczos", "products": 10}
        assert Plan.of(plan.table()) == plan


def test_the_state_says_what_comes_next() -> None:
    algorithm = CubicNewton(rounds=4, M=1.0, two_rounds=True)
    x, g = np.ones(3), np.full(3, 2.0)
    assert algorithm.query(Iteration(x, x, 2, np.empty(0))).kind == Asked.GRADIENT
    step = algorithm.query(Iteration(x, x, 3, g))
    assert step.kind == Asked.STEP
    np.testing.assert_array_equal(step.vectors, [x, g])
