"""The rules that judge by rows of the center's own: `fltrust`, `zeno`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpirobust.aggregators.base import Context, Oracle
from mpirobust.aggregators.fltrust import FLTrust
from mpirobust.aggregators.zeno import Zeno
from mpirobust.algorithms.base import Algorithm, Query
from mpirobust.algorithms.cubic_newton import Asked, CubicNewton
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.algorithms.newton import Newton
from mpirobust.answers import ArrayAnswers
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.shard import Shard
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.judging import context_of, judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors
from mpirobust.testing.support.witness import ran
from mpirobust.types import Vector

X = np.random.default_rng(3).standard_normal((30, 9))
OWN = Shard.of(X, X @ np.arange(9.0), 0, 30)
DESCENT = FirstOrder(rounds=1, step=0.1)
CUBIC = CubicNewton(rounds=2, M=1.0, two_rounds=True)


def context(algorithm: Algorithm[Any] = DESCENT, scale: float = 0.1, kind: int = 0) -> Context:
    g = LeastSquares().gradient(np.ones(9), OWN)
    at = (np.ones(9), g) if algorithm is CUBIC and kind == Asked.STEP else (np.ones(9),)
    return Context(2, Query(at, scale, kind), seed=7, oracle=Oracle(LeastSquares(), OWN, algorithm))


@over_codes
@over_dims
def test_trust_is_the_cosine(code: Compressor, dim: int) -> None:
    rule, box = FLTrust(), a_round(vectors(14, dim), code, 0.3, silent=(4,))
    own = context_of(rule, box.inbox).answer
    length, norms = np.linalg.norm(own), np.linalg.norm(box.said, axis=1)
    trust = np.maximum(box.said @ own / (length * norms), 0)
    verdict = judged(rule, box.inbox)
    expected = (trust / norms) @ box.said * length / trust.sum()
    np.testing.assert_allclose(verdict.step, expected, rtol=1e-9, atol=1e-9)
    assert verdict.kept.tolist() == box.mask(trust > 0)


@settings(max_examples=60)
@given(data=st.data(), m=st.integers(1, 8))
def test_whatever_is_sent_the_step_is_no_longer_than_that_of_the_center(data: st.DataObject, m: int) -> None:
    entry = st.sampled_from([0.0, 1.0, -1.0, 1e-200, 1e150, -1e150, 1e200]) | st.floats(-10, 10)
    said = np.array(data.draw(st.lists(st.lists(entry, min_size=9, max_size=9), min_size=m, max_size=m)))
    with np.errstate(over="ignore", invalid="ignore"):
        step = FLTrust().judge(ArrayAnswers(said, q=1.0, scale=0.1), None, context()).step
    own = context().answer
    assert np.linalg.norm(step) <= np.linalg.norm(own) * (1 + 1e-9)
    assert step @ own >= -1e-9 * (own @ own)


@pytest.mark.parametrize(
    "algorithm", [DESCENT, Newton(rounds=1, damping=0.1), CUBIC], ids=["first-order", "newton", "cubic-newton"]
)
def test_a_step_of_newton_is_trusted_by_that_of_the_center(algorithm: Algorithm[Any]) -> None:
    """90 % send the reverse."""
    where = context(algorithm)
    assert where.query is not None
    own = algorithm.answer(where.query, LeastSquares(), OWN, stream(7, CENTER, 2, Purpose.ANSWER))
    np.testing.assert_allclose(where.answer, 0.1 * own)
    said = own + 0.1 * np.abs(own).mean() * vectors(10, 9)
    said[:9] *= -5
    for rule in (FLTrust(), Zeno(beta=0.9)):
        verdict = rule.judge(ArrayAnswers(said, scale=0.1), None, where)
        assert np.flatnonzero(verdict.kept).tolist() == [9]
        expected = 0.1 * said[9]
        if isinstance(rule, FLTrust):
            expected *= np.linalg.norm(where.answer) / np.linalg.norm(expected)
        np.testing.assert_allclose(verdict.step, expected, rtol=1e-9)


def test_without_a_length_at_the_center_there_is_no_step() -> None:
    verdict = FLTrust().judge(ArrayAnswers(np.ones((4, 9))), None, context(scale=1e300))
    assert verdict.step.tolist() == [0.0] * 9


def loss_after(step: Vector) -> float:
    return LeastSquares().value(np.ones(9) - step, OWN)


@pytest.mark.parametrize(("beta", "rho", "count"), [(0.0, 0.0, 10), (0.3, 0.0, 6), (0.6, 0.5, 3), (0.9, 0.5, 1)])
def test_zeno_keeps_the_best_scores(beta: float, rho: float, count: int) -> None:
    said = 20 * vectors(11, 9, seed=4)
    said[3] = np.nan
    score = np.array([loss_after(np.zeros(9)) - loss_after(0.1 * v) - rho * (v @ v) for v in said])
    best = np.argsort(np.where(np.isnan(score), np.inf, -score))[:count]
    verdict = Zeno(beta=beta, rho=rho).judge(ArrayAnswers(said, scale=0.1), None, context())
    assert set(np.flatnonzero(verdict.kept)) == set(best)
    np.testing.assert_allclose(verdict.step, 0.1 * said[best].mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("byzantine", [1, 5, 9])
def test_what_zeno_keeps_is_no_worse_than_the_worst_honest_step(byzantine: int) -> None:
    """So that, the loss being convex, the step is no worse either."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        said = context().answer / 0.1 + vectors(10, 9, seed)
        said[:byzantine] = rng.choice([1e-3, 1.0, 1e6, 1e100]) * rng.standard_normal((byzantine, 9))
        verdict = Zeno(beta=byzantine / 10).judge(ArrayAnswers(said, scale=0.1), None, context())
        assert loss_after(verdict.step) <= max(loss_after(0.1 * v) for v in said[byzantine:]) * (1 + 1e-12)


def test_a_question_for_a_gradient_is_scored_by_its_product() -> None:
    where, said = context(CUBIC, 1.0, Asked.GRADIENT), 10 * vectors(11, 9)
    gradient = LeastSquares().gradient(np.ones(9), OWN)
    verdict = Zeno(beta=0.5).judge(ArrayAnswers(said), None, where)
    assert set(np.flatnonzero(verdict.kept)) == set(np.argsort(-said @ gradient)[:5])


@pytest.mark.parametrize("kind", ["fltrust", "zeno", "monna"])
def test_a_plan_needs_rows_at_the_center(kind: str) -> None:
    keys = {"fltrust": {}, "zeno": {"beta": 0.3}, "monna": {"beta": 0.3}}[kind]
    with pytest.raises(PlanFault, match=r"^center_rows: the rule judges by rows that the center keeps"):
        regression_plan(aggregator={"kind": kind, **keys})
    for wrapper in ({"kind": "arc", "beta": 0.1}, {"kind": "nnm", "beta": 0.1}):
        with pytest.raises(PlanFault, match=r"^center_rows"):
            regression_plan(aggregator={**wrapper, "rule": {"kind": kind, **keys}})


def test_zeno_needs_beta_for_the_byzantine() -> None:
    with pytest.raises(PlanFault, match=r"^aggregator\.beta: 0\.3 of 6 workers is less than 3 Byzantine"):
        regression_plan(aggregator={"kind": "zeno", "beta": 0.3}, center_rows=5, attack={"kind": "zero", "alpha": 0.5})
    with pytest.raises(PlanFault, match="rounded up, leaves nobody"):
        Zeno(beta=0.95).admit(6, 0)


@pytest.mark.parametrize("rule", [{"kind": "fltrust"}, {"kind": "zeno", "beta": 0.8}], ids=lambda rule: rule["kind"])
@pytest.mark.parametrize("attack", ["sign-flip", "collude"])
def test_two_honest_workers_of_ten_are_enough(rule: dict[str, Any], attack: str) -> None:
    plan = regression_plan(
        aggregator=rule,
        center_rows=20,
        workers=10,
        attack={"kind": attack, "alpha": 0.8},
        algorithm={"kind": "first-order", "rounds": 60, "step": 0.3},
    )
    local = LocalRun(plan)
    oracle = Oracle(plan.problem, local.dataset.train(plan.rows_of_center(60)), plan.algorithm)
    last = ran(local, oracle=oracle).moments[-1]
    assert plan.byzantine().size == 8
    assert local.cluster.audit(last.state.x).loss < 0.2 * local.cluster.audit(local.x0).loss
