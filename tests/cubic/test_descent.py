from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest

from mpirobust.cubic.descent import Descent
from mpirobust.cubic.exact import Exact
from mpirobust.cubic.lanczos import Lanczos
from mpirobust.testing.support.models import Matrix, with_spectrum
from mpirobust.types import Vector

RNG = np.random.default_rng(0)
MODEL = with_spectrum([-0.5, 0.1, 1.0, 6.0], [0.2, 0.3, -0.4, 1.0], M=10.0, gamma=0.5)


def test_one_iteration_is_the_cauchy_point() -> None:
    cauchy = Lanczos(products=1).solve(MODEL, RNG)  # which is tested to be that
    np.testing.assert_allclose(Descent(iterations=1).solve(MODEL, RNG), cauchy, rtol=1e-12)


def test_a_further_iteration_is_a_gradient_step_of_the_safe_size() -> None:
    """1/(γ L + M γ² R), R the Cauchy radius."""
    cauchy = Descent(iterations=1).solve(MODEL, RNG)
    s = cauchy
    for iterations in (2, 3, 4):
        s = s - MODEL.slope(s) / (0.5 * 6.0 + 10.0 * 0.5**2 * np.sqrt(cauchy @ cauchy))
        np.testing.assert_allclose(Descent(iterations=iterations).solve(MODEL, RNG), s, rtol=1e-10)


def test_every_iteration_goes_down_and_in_the_end_it_is_there() -> None:
    values = [MODEL.value(Descent(iterations=n).solve(MODEL, RNG)) for n in (1, 2, 3, 5, 10, 30, 100, 1000)]
    assert all(after < before for before, after in pairwise(values))
    np.testing.assert_allclose(values[-1], MODEL.value(Exact().solve(MODEL, RNG)), rtol=1e-9)


@pytest.mark.parametrize("step", ["safe", "published"])
def test_ten_iterations_take_nine_products(step: str) -> None:
    """The second knows the product at the Cauchy point, the first that at zero."""
    hessian = MODEL.hessian
    assert isinstance(hessian, Matrix)
    hessian.products = 0
    Descent(step="safe" if step == "safe" else "published").solve(MODEL, RNG)
    assert hessian.products == 9


def test_the_published_step_from_zero() -> None:
    s: Vector = np.zeros(4)
    for _ in range(10):
        s = s - MODEL.slope(s) / (20 * 0.5 * 6.0)
    np.testing.assert_allclose(Descent(step="published").solve(MODEL, RNG), s, rtol=1e-12)


def test_the_published_solver_takes_the_cauchy_point_where_the_gradient_is_long() -> None:
    """||g|| >= l²/ρ, here 9 / 2.5."""
    model = with_spectrum([-0.5, 6.0], [3.0, 3.0], M=10.0, gamma=0.5)
    np.testing.assert_array_equal(
        Descent(step="published").solve(model, RNG), Descent(step="safe", iterations=1).solve(model, RNG)
    )


def test_at_a_saddle_only_a_perturbation_helps() -> None:
    model = with_spectrum([-1.0, 1.0], [0.0, 0.0])
    np.testing.assert_array_equal(Descent().solve(model, RNG), np.zeros(2))
    s = Descent(perturbation=1e-3, iterations=100).solve(model, np.random.default_rng(1))
    np.testing.assert_allclose(model.value(s), -2 / 3, rtol=1e-2)  # -1/2 r² + 1/6 r³ at r = 2


def test_the_perturbation_has_its_length() -> None:
    flat = with_spectrum([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], M=1e-9)
    s = Descent(perturbation=0.25, iterations=1).solve(flat, np.random.default_rng(1))
    np.testing.assert_allclose(np.sqrt(s @ s), 0.25, rtol=1e-6)


class TestWithoutABound:
    """No bound on ||H|| at every point is known."""

    def test_every_iteration_goes_down_and_in_the_end_it_is_there(self) -> None:
        model = replace(MODEL, bound=None)
        values = [model.value(Descent(iterations=n).solve(model, RNG)) for n in (1, 2, 3, 5, 10, 20)]
        assert all(after < before for before, after in pairwise(values))
        np.testing.assert_allclose(values[-1], model.value(Exact().solve(model, RNG)), rtol=1e-5)

    @pytest.mark.parametrize(
        ("step", "eigenvalues", "parts", "M"),
        [
            ("safe", [6.0, -0.02], [0.3, 0.004], 0.002),
            ("safe", [-0.7, 30.0], [0.03, 0.005], 0.04),
            ("published", [30.0, 0.01], [0.002, 0.5], 0.007),
            ("published", [-20.0, 0.1], [0.003, 0.3], 0.06),
        ],
    )
    def test_a_step_that_would_go_up_is_halved(
        self, step: Literal["safe", "published"], eigenvalues: list[float], parts: list[float], M: float
    ) -> None:
        """Along a flat slope the cubic term, and for `published` a steep eigenvector, is met on the way."""
        model = replace(with_spectrum(eigenvalues, parts, M=M, seed=0), bound=None)
        values = [model.value(Descent(iterations=n, step=step).solve(model, RNG)) for n in range(1, 30)]
        assert all(after <= before + 1e-9 * abs(before) for before, after in pairwise(values))

    def test_leaves_a_saddle_from_near_it(self) -> None:
        model = replace(with_spectrum([-1.0, 1.0], [1e-3, 1e-3]), bound=None)
        np.testing.assert_allclose(model.value(Descent(iterations=100).solve(model, RNG)), -2 / 3, rtol=1e-2)

    def test_the_published_step_is_a_twentieth_of_what_the_first_product_shows(self) -> None:
        flat = replace(with_spectrum([3.0, 3.0, 3.0], [0.1, 0.2, 0.3]), bound=None)
        known = replace(flat, bound=lambda: 3.0)
        published = Descent(step="published")
        np.testing.assert_allclose(published.solve(flat, RNG), published.solve(known, RNG), rtol=1e-12)

    @pytest.mark.parametrize("step", ["safe", "published"])
    def test_takes_few_products_more(self, step: Literal["safe", "published"]) -> None:
        hessian = MODEL.hessian
        assert isinstance(hessian, Matrix)
        hessian.products = 0
        Descent(step=step).solve(replace(MODEL, bound=None), RNG)
        assert hessian.products == {"safe": 10, "published": 11}[step]
