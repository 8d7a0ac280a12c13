"""The exact solver meets the conditions of P2 Lemma 12, the hard case included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpirobust.cubic.base import CubicModel
from mpirobust.cubic.exact import Exact
from mpirobust.testing.support.models import matrix_of, with_spectrum
from mpirobust.types import Vector


def solved(model: CubicModel) -> Vector:
    return Exact().solve(model, np.random.default_rng(0))


def assert_optimal(model: CubicModel, s: Vector) -> None:
    """P2 (11), (12) and (13): necessary and sufficient for a global minimiser (Nesterov, Polyak 2006)."""
    theta = model.rho / 2 * np.sqrt(s @ s)
    assert np.sqrt(model.slope(s) @ model.slope(s)) <= 1e-10
    assert np.linalg.eigvalsh(model.gamma * matrix_of(model))[0] + theta >= -1e-10
    curve = model.g @ s + model.gamma / 2 * (s @ model.hessian(s))
    assert curve <= -model.rho / 4 * np.sqrt(s @ s) ** 3 + 1e-10


numbers = st.floats(-5, 5) | st.sampled_from([0.0, 1.0, -1.0, -5.0, 1e-9, -1e-9, 1e-300, 5.0])


@given(
    pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9),
    M=st.floats(0.5, 100),
    gamma=st.floats(0.5, 2),
    seed=st.integers(0, 5),
)
@settings(max_examples=400)
@example(pairs=[(-1.0, 0.0), (2.0, 1.0)], M=1.0, gamma=1.0, seed=0)  # hard
@example(pairs=[(-1.0, 1e-14), (2.0, 1.0)], M=1.0, gamma=1.0, seed=0)  # all but hard
@example(pairs=[(-1.0, 0.0), (2.0, 50.0)], M=1.0, gamma=1.0, seed=0)  # no part along the lowest, and yet not hard
@example(pairs=[(-1.0, 0.0), (-1.0, 0.0), (2.0, 1.0)], M=1.0, gamma=1.0, seed=3)  # hard, twice over
@example(pairs=[(-1.0, 0.0), (-1.0 + 1e-13, 0.3), (2.0, 1.0)], M=1.0, gamma=1.0, seed=0)
@example(pairs=[(0.0, 0.0), (1.0, 1.0)], M=1.0, gamma=1.0, seed=0)  # singular
@example(pairs=[(0.0, 1.0)], M=1.0, gamma=1.0, seed=0)  # no curvature at all
def test_meets_the_conditions_of_a_minimiser(
    pairs: list[tuple[float, float]], M: float, gamma: float, seed: int
) -> None:
    eigenvalues, parts = zip(*pairs, strict=True)
    model = with_spectrum(eigenvalues, parts, M=M, gamma=gamma, seed=seed)
    assert_optimal(model, solved(model))


@pytest.mark.parametrize("part", [0.0, 1e-30, 1e-18, 1e-10, 1e-3])
def test_the_hard_case_is_the_limit_of_easy_ones(part: float) -> None:
    """H = diag(-1, 2), M = γ = 1: θ = 1, so ||s|| = 2, and the second entry is -1/3 of g's."""
    model = with_spectrum([-1.0, 2.0], [-part, 0.6], seed=0)
    s = solved(model)
    np.testing.assert_allclose(s[1], -0.2, atol=2 * part)
    np.testing.assert_allclose(s[0], np.sqrt(4 - 0.04), atol=2 * part + 1e-12)


def test_at_a_saddle_the_step_goes_along_the_negative_eigenvector_with_its_largest_entry_positive() -> None:
    model = with_spectrum([-3.0, 1.0, 4.0], [0.0, 0.0, 0.0], M=2.0, seed=4)
    s = solved(model)
    assert_optimal(model, s)
    np.testing.assert_allclose(np.sqrt(s @ s), 3.0)  # θ = 3 = M ||s|| / 2
    assert s[np.argmax(np.abs(s))] > 0


def test_without_gradient_and_negative_curvature_it_stays() -> None:
    np.testing.assert_array_equal(solved(with_spectrum([0.0, 1.0], [0.0, 0.0])), np.zeros(2))


@pytest.mark.parametrize("size", [1e-80, 1e-8, 1e8, 1e80])
@pytest.mark.parametrize("lowest", [-1.0, 0.0, 1.0])
def test_gradients_of_any_size(lowest: float, size: float) -> None:
    model = with_spectrum([lowest, 2.0], [size, size])
    s = solved(model)
    scale = max(size, float(np.sqrt(s @ s)))
    assert np.abs(model.slope(s)).max() <= 1e-10 * scale
