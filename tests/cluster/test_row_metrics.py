"""Metrics of the test rows: by hand, against pairs of rows, and through a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.first_order import Iterate
from mpirobust.cluster.row_metrics import TOLD, area_under_curve, balanced_accuracy, measure
from mpirobust.data.sources.base import Places
from mpirobust.observers.audit import Auditor, Audits
from mpirobust.observers.base import Moment
from mpirobust.records.trace import Trace
from mpirobust.stop_rules import StopRules
from mpirobust.testing.support.clusters import LocalRun, regression_plan


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 1], [0.0, 1.0], 1.0),
        ([0, 1], [1.0, 0.0], 0.0),
        ([0, 1], [1.0, 1.0], 0.5),
        ([0, 0, 1, 1], [1.0, 3.0, 2.0, 4.0], 0.75),
        ([0, 0, 1, 1], [2.0, 2.0, 2.0, 3.0], 0.75),
        ([1, 0, 1], [np.inf, -np.inf, 0.0], 1.0),
        ([1, 1], [1.0, 2.0], nan),
        ([0, 0], [1.0, 2.0], nan),
        ([], [], nan),
        ([0, 1], [nan, 1.0], nan),
    ],
)
def test_area_under_the_curve(labels: list[int], scores: list[float], expected: float) -> None:
    found = area_under_curve(np.array(labels, np.float64), np.array(scores, np.float64))
    np.testing.assert_equal(found, expected)


def test_area_is_the_share_of_pairs_in_order_whatever_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    labels, scores = (rng.random(300) < 0.1).astype(np.float64), rng.integers(20, size=300).astype(np.float64)
    ones, zeros = scores[labels == 1], scores[labels == 0]
    pairs = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    assert area_under_curve(labels, scores) == pairs.sum() / pairs.size
    mixed = rng.permutation(300)
    assert area_under_curve(labels[mixed], scores[mixed]) == area_under_curve(labels, scores)


@pytest.mark.parametrize(
    ("labels", "guesses", "expected"),
    [
        ([0] * 97 + [1] * 3, [0] * 100, 0.5),
        ([0, 0, 1, 1], [0, 1, 1, 1], 0.75),
        ([0, 1, 2, 2], [0, 0, 2, 1], 0.5),
        ([1, 1], [1, 0], 0.5),
        ([], [], nan),
    ],
)
def test_balanced_accuracy(labels: list[int], guesses: list[int], expected: float) -> None:
    np.testing.assert_equal(balanced_accuracy(np.array(labels, float), np.array(guesses, float)), expected)


def test_the_loss_is_the_mean_over_all_test_rows() -> None:
    sums = np.array([[6.0, 3, 0], [0, 0, 0], [1.0, 4, 0]])
    assert measure(sums, np.empty((0, TOLD))).test_loss == 1.0
    assert isnan(measure(np.zeros((2, 3)), np.empty((0, TOLD))).test_loss)


def audited(metrics: list[Any] | None, stores: Sequence[Path] = (), **changes: Any) -> dict[str, float]:
    data = {"kind": "regression", "rows": 60, "features": 8, "noise": 0.3, "test_rows": 9}
    local = LocalRun(regression_plan(**{"data": data, **changes}), stores)
    trace = Trace(6, np.zeros(0, np.intp), {})
    auditor = Auditor(Audits() if metrics is None else Audits(metrics=tuple(metrics)), StopRules(), trace, ())
    auditor.before_first_round(Moment(0, Iterate(0.1 * np.ones(8), 0, 0.0), local.cluster))
    return {name: float(trace.audits.rows[-1][name]) for name in ("test_loss", "balanced_accuracy", "auc")}


def test_a_regression_has_a_test_loss_and_nothing_else() -> None:
    data = {"kind": "regression", "rows": 60, "features": 8, "noise": 0.3, "test_rows": 9}
    local = LocalRun(regression_plan(data=data))
    whole = local.dataset.test(np.arange(9))
    expected = local.plan.problem.value(0.1 * np.ones(8), whole)
    for metrics in (["test_loss"], ["test_loss", "auc", "balanced_accuracy"]):
        found = audited(metrics)
        assert found["test_loss"] == pytest.approx(expected, rel=1e-14)
        assert isnan(found["auc"])
        assert isnan(found["balanced_accuracy"])


def test_a_classification_is_measured_on_the_scores_of_its_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((150, 8)), (rng.random(150) < 0.2).astype(np.int64)
    X[:, 0] += y
    np.savez(tmp_path / "rows.npz", X=X[:100], y=y[:100], X_test=X[100:], y_test=y[100:])
    data = {"kind": "npz", "path": str(tmp_path / "rows.npz"), "X_test": "X_test", "y_test": "y_test"}
    problem = {"kind": "logistic"}
    stores = regression_plan(data=data, problem=problem).data.prepare(Places.for_plan(tmp_path))
    found = audited(["balanced_accuracy", "auc"], stores, data=data, problem=problem)
    scores, ones = X[100:] @ (0.1 * np.ones(8)), y[100:] == 1
    right = [(scores[ones] > 0).mean(), (scores[~ones] <= 0).mean()]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(right), rel=1e-14)
    assert found["auc"] == pytest.approx((scores[ones][:, None] > scores[~ones]).mean(), rel=1e-14)
    assert min(*right, found["auc"]) > 0.51  # neither is the other way round


def test_what_is_not_asked_for_is_not_measured() -> None:
    for metrics in (None, [], ["auc"]):
        assert isnan(audited(metrics)["test_loss"])
    without = {"kind": "regression", "rows": 60, "features": 8, "noise": 0.3}
    assert isnan(audited(["test_loss"], data=without)["test_loss"])
