"""What `check` measures on the shards, against the same from whole matrices."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.plan import Plan
from mpirobust.reports import constants
from mpirobust.reports.constants import Between, Start, contraction, verdict
from mpirobust.shard import Shard
from mpirobust.types import Vector

TABLE: dict[str, Any] = {
    "seed": 3,
    "workers": 6,
    "data": {"kind": "regression", "rows": 63, "features": 5, "noise": 0.5},
    "problem": {"kind": "robust-regression"},
    "algorithm": {"kind": "cubic-newton", "rounds": 4, "M": 2.0, "gamma": 0.5, "solver": {"kind": "exact"}},
    "aggregator": {"kind": "norm-trim", "beta": 0.2},
}


def started(**changes: Any) -> Start:
    plan = Plan.of({**TABLE, **changes})
    dataset = plan.data.open([], plan.seed)
    return Start(plan, dataset, plan.deal(dataset))


def whole(start: Start, shard: Shard, x: Vector) -> NDArray[np.float64]:
    product = start.plan.problem.hessian(x, shard)
    return np.array([product(unit) for unit in np.eye(x.size)])


def mean(start: Start, x: Vector) -> NDArray[np.float64]:
    weights = [shard.rows if start.plan.weigh == "rows" else 1.0 for shard in start.shards]
    return np.asarray(np.average([whole(start, shard, x) for shard in start.shards], axis=0, weights=weights))


@pytest.mark.parametrize("weigh", ["equal", "rows"])
@pytest.mark.parametrize("problem", ["robust-regression", "least-squares", "phase-retrieval"])
def test_of_the_objective(problem: str, weigh: str) -> None:
    """63 rows over 6 workers: some have one more, and its weight shows."""
    start = started(problem={"kind": problem}, weigh=weigh)
    loss, x = start.plan.problem, start.x
    weights = [shard.rows if weigh == "rows" else 1 for shard in start.shards]
    gradients = [loss.gradient(x, shard) for shard in start.shards]
    g, H = np.average(gradients, axis=0, weights=weights), mean(start, x)
    np.testing.assert_allclose(start.gradient, g, rtol=1e-12)
    value = np.average([loss.value(x, shard) for shard in start.shards], weights=weights)
    assert start.fall() == pytest.approx(value)
    assert start.eps_gradient() == pytest.approx(max(np.linalg.norm(each - g) for each in gradients))
    assert start.sigma().low == pytest.approx(max(np.linalg.norm(each) for each in gradients))
    assert start.slope().low == pytest.approx(np.linalg.norm(g))
    apart = max(np.linalg.norm(whole(start, shard, x) - H, 2) for shard in start.shards)
    assert 0.9 * apart <= start.eps_hessian() <= apart * (1 + 1e-9)
    assert 0.9 * np.linalg.norm(H, 2) <= start.curvature().low <= np.linalg.norm(H, 2) * (1 + 1e-9)
    length = np.linalg.norm(np.mean(start.steps, axis=0))
    values, vectors = np.linalg.eigh(H)
    top = vectors[:, np.argmax(np.abs(values))]
    points = [x + at * length * top for at in range(-4, 5)]
    changes = max(np.linalg.norm(mean(start, b) - mean(start, a), 2) / length for a, b in pairwise(points))
    assert start.twist().low == pytest.approx(changes, rel=0.1, abs=1e-9)


def test_bounds_are_means_over_the_workers() -> None:
    start = started()
    norms = np.array([shard.gram_norm for shard in start.shards])
    rows = np.array([np.linalg.norm(shard.X, axis=1).max() for shard in start.shards])
    assert start.curvature().high == pytest.approx(norms.mean())
    assert start.slope().high == pytest.approx(np.sqrt(norms / 2).mean())
    assert start.sigma().high == pytest.approx(np.sqrt(norms / 2).max())
    steepest = max(abs(4 * r * (r * r - 6) / (2 + r * r) ** 3) for r in np.linspace(0, 5, 10**5))
    assert start.twist().high == pytest.approx(steepest * (norms * rows).mean(), rel=1e-6)
    for each in (start.curvature(), start.slope(), start.sigma(), start.twist()):
        assert each.low < each.high


def test_no_bound_is_claimed_where_none_is_known_or_workers_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    start = started(problem={"kind": "phase-retrieval"})
    assert start.whole
    assert {start.curvature().high, start.slope().high, start.twist().high} == {inf}
    monkeypatch.setattr(constants, "_WORK", 1)
    start = started(workers=20)
    assert not start.whole
    assert start.workers == [0, 2, 5, 8, 10, 13, 16, 19]
    assert {start.curvature().high, start.slope().high, start.sigma().high} == {inf}


@pytest.mark.parametrize("two_rounds", [False, True])
def test_the_steps_are_what_is_compressed(two_rounds: bool) -> None:
    """Top-k of the minimisers of P2 (1), whose g is the mean gradient if it is asked for in a round of its own."""
    algorithm = {**TABLE["algorithm"], "two_rounds": two_rounds}
    start = started(algorithm=algorithm, compressor={"kind": "topk", "k": 2})
    kept = []
    for shard, s in zip(start.shards, start.steps, strict=True):
        g = start.gradient if two_rounds else start.plan.problem.gradient(start.x, shard)
        H = whole(start, shard, start.x)
        np.testing.assert_allclose(g + 0.5 * H @ s + 2 * 0.25 / 2 * np.linalg.norm(s) * s, 0, atol=1e-9)
        kept.append(np.sort(s**2)[-2:].sum() / (s @ s))
    found = contraction(start)
    assert found.measured == pytest.approx(min(kept), rel=1e-6)
    assert str(found).endswith("measured on the first steps of 6 workers, 0.4 at worst")


def test_qsgd_of_one_level_has_no_delta() -> None:
    """E||Q(s) - s||² = ||s||₁ ||s|| - ||s||², so that δ = 2 - ||s||₁/||s||: P2's own compressor, for d >= 4."""
    start = started(data={**TABLE["data"], "features": 30, "rows": 300}, compressor={"kind": "qsgd", "levels": 1})
    found = contraction(start)
    assert found.worst is None
    exact = min(2 - np.abs(s).sum() / np.linalg.norm(s) for s in start.steps)
    assert exact < 0
    assert found.measured == pytest.approx(exact, abs=1.5)


def test_a_minibatch_is_what_is_compressed() -> None:
    start = started(algorithm={"kind": "first-order", "rounds": 3, "step": 0.1, "batch": 2})
    some = [start.plan.problem.gradient(start.x, shard) for shard in start.shards]
    assert all(np.linalg.norm(one - other) > 0.01 for one, other in zip(start.steps, some, strict=True))


class TestTails:
    @pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
    def test_of_signs_v_is_the_standard_deviation(self, scale: float) -> None:
        """cosh λ <= exp(λ²/2)."""
        table = scale * np.array([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]).T
        assert constants._sub_exponential(table) == pytest.approx(scale, rel=1e-5)

    @pytest.mark.parametrize("seed", range(4))
    def test_is_the_smallest_that_holds(self, seed: int) -> None:
        """Of heavy and skewed columns, by a fine grid of λ."""
        rng = np.random.default_rng(seed)
        table = rng.standard_t(2.5, (80, 7)) * rng.uniform(0.1, 3, 7) + rng.exponential(2, (80, 7))
        table -= table.mean(axis=0)

        def holds(v: float) -> bool:
            shares = np.linspace(-1, 1, 401)[:, None, None]
            return bool((np.exp(shares * table / v).mean(axis=1) <= np.exp(shares[:, 0] ** 2 / 2) + 1e-12).all())

        v = constants._sub_exponential(table)
        assert v >= table.std(axis=0).max()
        assert holds(1.02 * v)
        assert not holds(0.98 * v)

    def test_of_equal_rows_is_zero(self) -> None:
        assert constants._sub_exponential(np.zeros((5, 3))) == 0

    def test_of_least_squares(self) -> None:
        """The Hessian of a row is x xᵀ: L_k = max |x_k| ||x||. Estimated, to a factor that its logarithm forgives."""
        start = started(problem={"kind": "least-squares"})
        X = np.vstack([shard.X for shard in start.shards])
        exact = float(np.linalg.norm((np.abs(X) * np.linalg.norm(X, axis=1)[:, None]).max(axis=0)))
        tails = start.tails()
        assert tails.rows == 63
        assert exact / 2 <= tails.L_hat <= 2 * exact
        y = np.concatenate([shard.y for shard in start.shards])
        assert tails.v >= (X * y[:, None]).std(axis=0).max() * (1 - 1e-6)


def test_a_constant_is_told_with_what_is_known_of_it() -> None:
    assert str(Between(2.0, 3.5)) == "in [2, 3.5]"
    assert str(Between(2.0, 2.0)) == "= 2"
    assert str(Between(1 / 3)) == ">= 0.333 (no bound is known)"
    said = [verdict(at_start, everywhere) for at_start in (True, False) for everywhere in (True, False)]
    assert said == ["holds", "holds at the start", "does not hold", "does not hold"]
