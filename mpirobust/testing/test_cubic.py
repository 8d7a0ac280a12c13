"""The contract of every cubic solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from mpirobust.cubic.base import CubicModel, CubicSolver
from mpirobust.problems.base import Loss
from mpirobust.testing.examples import admits, components
from mpirobust.testing.support.models import Matrix, with_spectrum
from mpirobust.testing.support.shards import made_shard
from mpirobust.types import Vector

MODELS = {
    "convex": with_spectrum([0.1, 1.0, 2.0, 5.0], [1.0, -1.0, 0.5, 0.2], M=10.0),
    "indefinite": with_spectrum([-2.0, -0.1, 1.0, 3.0], [0.5, -1.0, 0.5, 0.2], gamma=0.5),
    "hard": with_spectrum([-2.0, -2.0, 1.0, 3.0], [0.0, 0.0, 0.1, 0.2]),
    "saddle": with_spectrum([-2.0, 1.0], [0.0, 0.0]),
    "minimum": with_spectrum([0.0, 1.0], [0.0, 0.0]),
    "flat": with_spectrum([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]),
    "nothing": with_spectrum([0.0, 0.0], [0.0, 0.0]),
    "one": with_spectrum([-1.0], [0.3], M=3.0),
    "long": with_spectrum([-1.0, 1e4], [1e6, 1e6], M=0.1),
    "short": with_spectrum([-1.0, 1.0], [1e-12, 1e-12], M=0.1),
    "wide": with_spectrum(np.linspace(-1, 9, 40).tolist(), np.linspace(1, 2, 40).tolist()),
}
MODELS |= {f"{name}, no bound": replace(model, bound=None) for name, model in MODELS.items()}
SOLVERS = components("algorithm.solver")
PROBLEMS = components("problem")


@pytest.fixture(params=SOLVERS.values(), ids=list(SOLVERS))
def solver(request: pytest.FixtureRequest) -> CubicSolver:
    found: CubicSolver = request.param
    return found


@pytest.fixture(params=MODELS.values(), ids=list(MODELS))
def model(request: pytest.FixtureRequest) -> CubicModel:
    found: CubicModel = request.param
    return found


def solve(solver: CubicSolver, model: CubicModel, seed: int = 0) -> Vector:
    return solver.solve(model, np.random.default_rng(seed))


def scaled(bound: Callable[[], float], factor: float) -> float:
    return factor * bound()


def test_is_a_new_finite_vector_and_leaves_its_input_alone(solver: CubicSolver, model: CubicModel) -> None:
    g = model.g.copy()
    g.flags.writeable = False
    s = solve(solver, replace(model, g=g))
    assert (s.shape, s.dtype) == (g.shape, np.dtype(np.float64))
    assert np.isfinite(s).all()
    s += 1
    np.testing.assert_array_equal(g, model.g)


def test_does_not_go_up(solver: CubicSolver, model: CubicModel) -> None:
    if not getattr(solver, "perturbation", 0.0):  # which is what it is told to descend on
        assert model.value(solve(solver, model)) <= 0.0


def test_goes_down_where_there_is_a_gradient(solver: CubicSolver, model: CubicModel) -> None:
    if model.g.any() and not getattr(solver, "perturbation", 0.0):
        assert model.value(solve(solver, model)) < 0.0


def test_is_a_function_of_the_stream(solver: CubicSolver, model: CubicModel) -> None:
    np.testing.assert_array_equal(solve(solver, model), solve(solver, model))


def test_scales_with_the_units(solver: CubicSolver, model: CubicModel) -> None:
    """x in units of 4: g by 4, H by 16, M by 64, and s by 1/4."""
    if getattr(solver, "perturbation", 0.0):
        return
    assert isinstance(model.hessian, Matrix)
    bound = None if model.bound is None else partial(scaled, model.bound, 16)
    other = CubicModel(4 * model.g, Matrix(16 * model.hessian.H), 64 * model.M, model.gamma, bound)
    np.testing.assert_allclose(solve(solver, other), solve(solver, model) / 4, rtol=1e-6, atol=1e-12)


def test_products_in_float32_will_do(solver: CubicSolver, model: CubicModel) -> None:
    product = model.hessian
    s = solve(solver, replace(model, hessian=lambda v: product(v).astype(np.float32)))
    assert s.dtype == np.dtype(np.float64)
    assert np.isfinite(s).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("bound", [None, lambda: 1.0])
def test_products_that_are_not_finite_give_an_answer_that_is_not(
    solver: CubicSolver, bad: float, bound: Callable[[], float] | None
) -> None:
    model = CubicModel(np.ones(3), lambda v: bad * v, 1.0, 1.0, bound)
    with np.errstate(invalid="ignore", over="ignore"):
        assert not np.isfinite(solve(solver, model)).all()


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
def test_goes_down_on_every_problem(solver: CubicSolver, problem: Loss) -> None:
    """The model of one worker at three points of every kind of problem."""
    solver.admit(problem)
    classes = next(each for each in (2, 10, 0) if admits(problem, each))
    shard, dim = made_shard(11, 6, classes), problem.dim(6)
    curvature = problem.curvature()
    bound = None if curvature is None else partial(curvature, shard)
    for size in (1e-3, 1.0, 5.0):
        x = size * np.random.default_rng(1).standard_normal(dim)
        model = CubicModel(problem.gradient(x, shard), problem.hessian(x, shard), 5.0, 1.0, bound)
        if not getattr(solver, "perturbation", 0.0):
            assert model.value(solve(solver, model)) < 0.0
