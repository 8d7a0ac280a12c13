"""The contract of every loss: derivatives that fit, the same on sparse and dense rows, sums that add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import pytest

from mpirobust.problems.base import Loss
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.problems.logistic import Logistic
from mpirobust.problems.network import Network
from mpirobust.problems.robust_regression import RobustRegression
from mpirobust.shard import Shard
from mpirobust.testing.examples import admits_rows, components
from mpirobust.testing.support.shards import contents, dense, made_shard
from mpirobust.types import Vector

ROWS, FEATURES = 11, 6
W = np.random.default_rng(3).standard_normal(FEATURES)


@dataclass(frozen=True)
class Case:
    loss: Loss
    shard: Shard
    x: Vector


def _cases() -> dict[str, Case]:
    cases = {}
    for name, loss in components("problem").items():
        for classes in (0, 2, 10):
            for sparsely in (False, True):
                if admits_rows(loss, FEATURES, classes):
                    shard = made_shard(ROWS, FEATURES, classes, sparsely=sparsely)
                    x = np.random.default_rng(1).standard_normal(loss.dim(FEATURES))
                    cases[f"{name}-{classes or 'real'}-{'sparse' if sparsely else 'dense'}"] = Case(loss, shard, x)
    return cases


CASES = _cases()


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def those(wanted: Callable[[Case], bool]) -> pytest.MarkDecorator:
    """Parametrise over the cases of which there is something to say."""
    found = {name: case for name, case in CASES.items() if wanted(case)}
    assert found
    return pytest.mark.parametrize("case", found.values(), ids=found.keys())


def directions(dim: int) -> list[Vector]:
    """The unit vectors of a few coordinates, and two directions across all."""
    rng = np.random.default_rng(2)
    units = [np.eye(1, dim, at)[0] for at in rng.permutation(dim)[:8]]
    return [*units, rng.standard_normal(dim), rng.standard_normal(dim)]


def test_gradient_is_the_slope_of_the_value(case: Case) -> None:
    h = 1e-5
    gradient = case.loss.gradient(case.x, case.shard)
    for v in directions(case.x.size):
        ahead, behind = (case.loss.value(case.x + at * v, case.shard) for at in (h, -h))
        np.testing.assert_allclose(gradient @ v, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


def test_value_and_gradient_together_have_the_bits_of_each(case: Case) -> None:
    for at in (0.0, 1.0, -30.0):
        value, gradient = case.loss.value_and_gradient(at * case.x, case.shard)
        assert value == case.loss.value(at * case.x, case.shard)
        assert gradient.tobytes() == case.loss.gradient(at * case.x, case.shard).tobytes()


def test_hessian_product_is_the_slope_of_the_gradient(case: Case) -> None:
    h = 1e-5
    product = case.loss.hessian(case.x, case.shard)
    for v in directions(case.x.size):
        ahead, behind = (case.loss.gradient(case.x + at * v, case.shard) for at in (h, -h))
        np.testing.assert_allclose(product(v), (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-7)


def test_hessian_is_symmetric_and_linear(case: Case) -> None:
    product = case.loss.hessian(case.x, case.shard)
    u, v = directions(case.x.size)[-2:]
    np.testing.assert_allclose(u @ product(v), v @ product(u), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(product(2 * u - 3 * v), 2 * product(u) - 3 * product(v), rtol=1e-10, atol=1e-12)


@those(lambda case: case.loss.curvature() is not None)
def test_curvature_bounds_the_hessian_everywhere(case: Case) -> None:
    bound = case.loss.curvature()
    assert bound is not None
    for x in (0 * case.x, case.x, -0.1 * case.x, 100 * case.x):
        product = case.loss.hessian(x, case.shard)
        H = np.array([product(unit) for unit in np.eye(x.size)])
        assert np.abs(np.linalg.eigvalsh(H)).max() <= bound(case.shard)


AWAY = (0.0, 0.1, -0.6, 1.0, 30.0)


def test_no_value_is_below_its_bound(case: Case) -> None:
    bound = case.loss.bounds().value
    assert bound is None or all(case.loss.value(at * case.x, case.shard) >= bound for at in AWAY)


@those(lambda case: case.loss.bounds().slope is not None)
def test_no_slope_is_above_its_bound(case: Case) -> None:
    bound = case.loss.bounds().slope
    assert bound is not None
    assert all(np.linalg.norm(case.loss.gradient(at * case.x, case.shard)) <= bound(case.shard) for at in AWAY)


@those(lambda case: case.loss.bounds().twist is not None)
def test_no_hessian_changes_faster_than_its_bound(case: Case) -> None:
    bound = case.loss.bounds().twist
    assert bound is not None
    for at, v in ((at, v) for at in AWAY for v in directions(case.x.size)):
        one, other = (case.loss.hessian(x, case.shard) for x in (at * case.x, at * case.x + 0.05 * v))
        change = np.array([one(unit) - other(unit) for unit in np.eye(case.x.size)])
        slack = 1e-12 * (1 + np.abs([one(unit) for unit in np.eye(case.x.size)]).max())
        assert np.linalg.norm(change, 2) <= bound(case.shard) * 0.05 * np.linalg.norm(v) + slack


def test_bounds_of_the_derivatives_are_reached() -> None:
    """One row x = e_1: the loss is φ(w_1); the third derivatives at log(2 + √3) and √2 tan(π/8)."""
    one = made_shard(1, 1, 0)
    shard = Shard.of(np.ones((1, 1)), np.zeros(1), 2, 1)
    assert one.longest_row == pytest.approx(abs(one.X[0, 0]))
    for loss, steepest, bent in (
        (Logistic(l2=0.0), 40.0, float(np.log(2 + np.sqrt(3)))),
        (RobustRegression(), np.sqrt(2), np.sqrt(2) * (np.sqrt(2) - 1)),
    ):
        slope, twist = loss.bounds().slope, loss.bounds().twist
        assert slope is not None
        assert twist is not None
        assert abs(loss.gradient(np.array([steepest]), shard)[0]) == pytest.approx(slope(shard), rel=1e-5)
        ahead, behind = (loss.hessian(np.array([bent + at]), shard)(np.ones(1))[0] for at in (1e-4, -1e-4))
        assert abs(ahead - behind) / 2e-4 == pytest.approx(twist(shard), rel=1e-5)


@pytest.mark.parametrize("classes", [0, 2])
def test_curvature_is_reached_where_the_loss_bends_most(classes: int) -> None:
    """Least squares everywhere, logistic regression at 0 (p = 1/2), robust regression where every row fits."""
    shard = made_shard(ROWS, FEATURES, classes)
    fitted = shard.with_labels(np.zeros(ROWS))
    for loss, rows in ((LeastSquares(), shard), (Logistic(l2=3.0), shard), (RobustRegression(), fitted)):
        product, bound = loss.hessian(np.zeros(FEATURES), rows), loss.curvature()
        assert bound is not None
        H = np.array([product(unit) for unit in np.eye(FEATURES)])
        np.testing.assert_allclose(np.linalg.eigvalsh(H)[-1], bound(rows), rtol=1e-5)


def test_leaves_its_input_alone(case: Case) -> None:
    x, shard = case.x.copy(), case.shard
    x.flags.writeable = False
    before = contents(shard)
    v = np.ones(x.size)
    v.flags.writeable = False
    case.loss.value(x, shard)
    gradient = case.loss.gradient(x, shard)
    case.loss.hessian(x, shard)(v)
    case.loss.metrics(x, shard)
    assert contents(shard) == before
    np.testing.assert_array_equal(x, case.x)
    kept = gradient.copy()
    gradient += 1  # a new array: adding to it changes nothing that is asked next
    np.testing.assert_array_equal(case.loss.gradient(x, shard), kept)


def test_shapes_and_start(case: Case) -> None:
    x0 = case.loss.start(FEATURES, np.random.default_rng(0))
    assert x0.shape == (case.loss.dim(FEATURES),)
    assert np.isfinite(x0).all()
    gradient = case.loss.gradient(x0, case.shard)
    assert (gradient.shape, gradient.dtype) == (x0.shape, np.dtype(np.float64))
    assert isinstance(case.loss.value(x0, case.shard), float)


def test_the_parts_of_the_layout_are_the_vector(case: Case) -> None:
    layout = case.loss.layout(FEATURES)
    assert layout.dim == case.loss.dim(FEATURES) == case.loss.gradient(case.x, case.shard).size
    names = [name for name, _ in layout.parts]
    assert len(set(names)) == len(names) > 0
    assert all(prod(shape) > 0 for _, shape in layout.parts)


def test_the_network_stores_its_gradient_in_the_order_of_its_layout() -> None:
    """Back propagation by the names and shapes of the layout alone."""
    loss = Network(hidden=(4, 3), classes=2, dtype="float64")
    shard = made_shard(ROWS, FEATURES, 2)
    layout, x = loss.layout(FEATURES), np.random.default_rng(5).standard_normal(loss.dim(FEATURES))
    ends = np.cumsum([prod(shape) for _, shape in layout.parts])
    pieces = zip(layout.parts, np.split(x, ends[:-1]), strict=True)
    part = {name: values.reshape(shape) for (name, shape), values in pieces}
    inputs = [shard.X]
    for layer in range(3):
        z = inputs[-1] @ part[f"weights {layer}"] + part[f"biases {layer}"]
        inputs.append(np.maximum(z, 0))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    slope = (p - np.eye(2)[shard.y.astype(int)]) / ROWS
    slopes: dict[str, Vector] = {}
    for layer in (2, 1, 0):
        slopes[f"weights {layer}"] = inputs[layer].T @ slope
        slopes[f"biases {layer}"] = slope.sum(axis=0)
        slope = (slope @ part[f"weights {layer}"].T) * (inputs[layer] > 0)
    expected = np.concatenate([slopes[name].ravel() for name, _ in layout.parts])
    np.testing.assert_allclose(loss.gradient(x, shard), expected, rtol=1e-10, atol=1e-13)
    assert len({shape for _, shape in layout.parts}) == 6  # no two could be taken for each other


def test_sparse_and_dense_rows_give_the_same(case: Case) -> None:
    other, v = dense(case.shard), np.ones(case.x.size)
    np.testing.assert_allclose(case.loss.value(case.x, case.shard), case.loss.value(case.x, other), rtol=1e-13)
    ours, theirs = case.loss.gradient(case.x, case.shard), case.loss.gradient(case.x, other)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    ours, theirs = case.loss.hessian(case.x, case.shard)(v), case.loss.hessian(case.x, other)(v)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    assert case.loss.metrics(case.x, case.shard) == case.loss.metrics(case.x, other)


def test_parts_of_a_shard_add_up(case: Case) -> None:
    """Metrics are sums over the rows, value and gradient are means."""
    parts = [case.shard.take(rows) for rows in np.split(np.arange(ROWS), [3, 4])]
    whole = dict(case.loss.metrics(case.x, case.shard))
    assert set(whole) in ({"correct", "rows"}, set())
    for key, number in whole.items():
        assert sum(case.loss.metrics(case.x, part)[key] for part in parts) == number
    value = sum(part.rows * case.loss.value(case.x, part) for part in parts) / ROWS
    np.testing.assert_allclose(value, case.loss.value(case.x, case.shard), rtol=1e-13)
    gradient = sum(part.rows * case.loss.gradient(case.x, part) for part in parts) / ROWS
    np.testing.assert_allclose(gradient, case.loss.gradient(case.x, case.shard), rtol=1e-12, atol=1e-14)


@those(lambda case: bool(case.loss.solutions(W)))
def test_solutions_solve_rows_made_from_them(case: Case) -> None:
    shard = case.shard.with_labels(case.shard.X @ W)
    for solution in case.loss.solutions(W):
        assert solution.shape == (case.loss.dim(FEATURES),)
        np.testing.assert_allclose(case.loss.gradient(solution, shard), 0, atol=1e-12)
        np.testing.assert_allclose(case.loss.value(solution, shard), 0, atol=1e-12)


@those(lambda case: bool(case.loss.metrics(case.x, case.shard)))
def test_accuracy_counts_rows(case: Case) -> None:
    metrics = case.loss.metrics(case.x, case.shard)
    assert metrics["rows"] == ROWS
    assert 0 <= metrics["correct"] <= ROWS


def test_the_largest_score_is_the_guess_that_is_counted(case: Case) -> None:
    scores, metrics = case.loss.class_scores(case.x, case.shard), case.loss.metrics(case.x, case.shard)
    if scores is None:
        assert not metrics
        return
    assert scores.shape == (ROWS, case.shard.classes)
    assert np.count_nonzero(scores.argmax(axis=1) == case.shard.y) == metrics["correct"]


def test_a_separating_point_gets_every_row_right() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    x = np.array([1.0, -2.0, 0.5])
    logistic = Shard.of(X, (X @ x > 0).astype(np.float64), 2, 40)
    assert Logistic().metrics(x, logistic) == {"correct": 40, "rows": 40}
    assert Logistic().metrics(-x, logistic) == {"correct": 0, "rows": 40}
    robust = Shard.of(X, (X @ x > 0.5).astype(np.float64), 2, 40)
    assert RobustRegression().metrics(x, robust) == {"correct": 40, "rows": 40}


def test_logistic_stays_finite_far_from_the_data() -> None:
    shard = made_shard(ROWS, FEATURES, 2)
    x = np.full(FEATURES, 1e4)
    assert np.isfinite(Logistic().value(x, shard))
    assert np.isfinite(Logistic().gradient(x, shard)).all()
    assert np.isfinite(Logistic().hessian(x, shard)(x)).all()


def test_logistic_is_the_formula_of_the_paper() -> None:
    shard = made_shard(ROWS, FEATURES, 2)
    x = np.linspace(-1, 1, FEATURES)
    sign = np.where(shard.y == 1, 1, -1)
    plain = np.mean([np.log(1 + np.exp(-s * (row @ x))) for s, row in zip(sign, shard.X, strict=True)])
    expected = plain + 3.0 / (2 * shard.total) * (x @ x)
    np.testing.assert_allclose(Logistic(l2=3.0).value(x, shard), expected, rtol=1e-12)
