from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpirobust.cubic.base import CubicModel
from mpirobust.cubic.exact import Exact
from mpirobust.cubic.lanczos import Lanczos
from mpirobust.testing.support.models import Matrix, with_spectrum

numbers = st.floats(-5, 5) | st.sampled_from([0.0, 1.0, -1.0, 5.0])


def gap(model: CubicModel, products: int, seed: int = 0) -> float:
    """How far the model value is above the least."""
    best, found = (
        model.value(solver.solve(model, np.random.default_rng(seed)))
        for solver in (Exact(), Lanczos(products=products))
    )
    return found - best


@given(
    pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9),
    M=st.floats(0.5, 100),
    gamma=st.floats(0.5, 2),
    seed=st.integers(0, 5),
)
@settings(max_examples=200)
def test_with_as_many_products_as_dimensions_it_is_exact(
    pairs: list[tuple[float, float]], M: float, gamma: float, seed: int
) -> None:
    """Also in the hard case, which the Krylov space of g alone does not see, and with eigenvalues that repeat."""
    eigenvalues, parts = zip(*pairs, strict=True)
    model = with_spectrum(eigenvalues, parts, M=M, gamma=gamma, seed=seed)
    assert abs(gap(model, len(pairs))) <= 1e-9


def test_more_products_are_never_worse() -> None:
    rng = np.random.default_rng(3)
    model = with_spectrum(np.linspace(-1, 5, 60).tolist(), rng.standard_normal(60).tolist(), M=10.0)
    gaps = [gap(model, products) for products in range(1, 31)]
    assert all(after <= before + 1e-12 for before, after in pairwise(gaps))
    assert gaps[0] > 1e-2
    assert gaps[-1] < 1e-9


def test_one_product_is_the_cauchy_point() -> None:
    model = with_spectrum([-1.0, 2.0, 3.0], [0.3, -0.4, 1.0])
    s = Lanczos(products=1).solve(model, np.random.default_rng(0))
    for nearby in (0.999 * s, 1.001 * s):
        assert model.value(s) < model.value(nearby)
    np.testing.assert_allclose(s / np.sqrt(s @ s), -model.g / np.sqrt(model.g @ model.g), atol=1e-12)


@pytest.mark.parametrize("products", [2, 3, 10])
def test_leaves_a_saddle_exactly(products: int) -> None:
    """g = 0: the space grows from a random direction, and finds the one negative eigenvalue of 50."""
    model = with_spectrum([-1.0, *[2.0] * 49], [0.0] * 50)
    s = Lanczos(products=products).solve(model, np.random.default_rng(8))
    np.testing.assert_allclose(model.value(s), -2 / 3, rtol=1e-9)  # -1/2 r² + 1/6 r³ at r = 2
    assert s[np.argmax(np.abs(s))] > 0


def test_looks_beyond_a_space_that_is_closed() -> None:
    """g is an eigenvector, as on the axis of the toy of P2 §4; the way down is across."""
    model = with_spectrum([2.0, -2.0], [1e-2, 0.0], seed=0)
    s = Lanczos().solve(model, np.random.default_rng(0))
    assert s[1] > 3.9


def test_two_products_are_all_that_two_dimensions_take() -> None:
    model = with_spectrum([2.0, -2.0], [0.1, 0.2])
    assert isinstance(model.hessian, Matrix)
    Lanczos(products=10).solve(model, np.random.default_rng(0))
    assert model.hessian.products == 2
