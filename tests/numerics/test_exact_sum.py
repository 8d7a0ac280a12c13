"""Sums that do not depend on who adds first, and the largest eigenvalue from products."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpirobust.numerics.eigenvalues import power_iteration
from mpirobust.numerics.exact_sum import ExactSum
from mpirobust.types import Vector

_TERMS = st.one_of(
    st.floats(-1e3, 1e3),
    st.floats(-(2.0**75), 2.0**75),
    st.floats(-1e-15, 1e-15),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**32, -(2.0**32), 2.0**-12, 2.0**-100, 2.0**-101, 5e-324]),
)


def summed(terms: Sequence[Vector] | NDArray[np.float64], dim: int) -> ExactSum:
    total = ExactSum(dim)
    for term in terms:
        total.add(term)
    return total


def combined(parts: Sequence[ExactSum], dim: int) -> ExactSum:
    """As the ranks do it: the parts are added."""
    total = ExactSum(dim)
    for part in parts:
        total.parts += part.parts
    return total


@given(terms=st.lists(_TERMS, min_size=1, max_size=30), data=st.data())
def test_any_order_and_any_grouping_give_the_same_bits(terms: list[float], data: st.DataObject) -> None:
    rows = np.array(terms)[:, None] * np.array([1.0, -0.5, 1.0 / 3])
    expected = summed(rows, 3).total().tobytes()
    order = data.draw(st.permutations(range(len(terms))))
    assert summed(rows[order], 3).total().tobytes() == expected
    cuts = sorted(data.draw(st.lists(st.integers(0, len(terms)), max_size=5)))
    parts = [summed(part, 3) for part in np.split(rows[order], cuts)]
    assert combined(parts, 3).total().tobytes() == expected


@given(terms=st.lists(_TERMS, min_size=1, max_size=30))
def test_error_is_that_of_a_few_roundings(terms: list[float]) -> None:
    """No more than 2^-100 lost for each term, and a rounding for each limb."""
    found = float(summed(np.array(terms)[:, None], 1).total()[0])
    bound = len(terms) * 2.0**-100 + 8 * 2.0**-53 * fsum(map(abs, terms))
    assert abs(found - fsum(terms)) <= bound


@given(term=st.floats(-(2.0**75), 2.0**75))
def test_one_term_is_itself(term: float) -> None:
    found = float(summed([np.array([term])], 1).total()[0])
    assert abs(found - term) <= 2.0**-100


def test_opposite_terms_cancel_exactly() -> None:
    rng = np.random.default_rng(0)
    terms = rng.standard_normal((500, 4)) * 10.0 ** rng.integers(-12, 12, (500, 4))
    shuffled = np.concatenate([terms, -terms])[rng.permutation(1000)]
    np.testing.assert_array_equal(summed(shuffled, 4).total(), np.zeros(4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_coordinate_of_a_long_vector_is_summed_alone(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    terms = (rng.standard_normal((3, 20_000)) * 10.0 ** rng.integers(-12, 12, 20_000)).astype(dtype)
    together = summed(terms, 20_000).total()
    for cut in (1, 7000, 19_999):
        apart = [summed(part, part.shape[1]).total() for part in (terms[:, :cut], terms[:, cut:])]
        np.testing.assert_array_equal(np.concatenate(apart), together)
    np.testing.assert_allclose(together, [fsum(column) for column in terms.T], rtol=1e-12, atol=2.0**-90)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("beside", [0.0, 1.0, 2.0**75])
def test_every_limb_leaves_room_for_many_terms(sign: int, beside: float) -> None:
    """2^19 terms of below 2^44 units each fit into 63 bits."""
    for exponent in range(-101, 76):
        for lead in (1.0, 1.5, np.nextafter(2.0, 0)):
            term = np.array([sign * lead * 2.0**exponent, beside])
            assert np.abs(summed([term], 2).parts).max() < 2**44


def test_as_many_terms_as_there_may_be_workers() -> None:
    """2^19 of the largest: the limbs do not overflow."""
    largest = np.nextafter(2.0**76, 0)
    one = summed([np.array([largest, -largest])], 2)
    one.parts *= 2**19 - 1
    np.testing.assert_allclose(one.total(), [largest * (2**19 - 1), -largest * (2**19 - 1)], rtol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**76, -(2.0**76), 1e300])
def test_a_term_that_does_not_fit_makes_the_total_infinite(bad: float) -> None:
    rows = np.ones((3, 2))
    rows[1, 1] = bad
    assert np.isinf(summed(rows, 2).total()).all()
    assert np.isinf(combined([summed(rows[:1], 2), summed(rows[1:], 2)], 2).total()).all()


def test_the_largest_term_that_fits() -> None:
    largest = np.nextafter(2.0**76, 0)
    assert summed([np.array([largest])], 1).total()[0] == largest


def test_leaves_its_terms_alone() -> None:
    term = np.array([1.5, -2.25])
    term.flags.writeable = False
    summed([term], 2)
    np.testing.assert_array_equal(term, [1.5, -2.25])


class TestPowerIteration:
    def spectrum(self, eigenvalues: list[float]) -> NDArray[np.float64]:
        rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((len(eigenvalues),) * 2))[0]
        found: NDArray[np.float64] = rotation * eigenvalues @ rotation.T
        return found

    @pytest.mark.parametrize(
        "eigenvalues",
        [[5, 3, 1, 0.5], [-5, 3, 1, 0.5], [1e-6, 1e-7, 0], [1e6, 1e5, -1e5, 7], [2], [4, -4, 1], [3, 3, 3]],
        ids=str,
    )
    def test_finds_the_largest_magnitude(self, eigenvalues: list[float]) -> None:
        H = self.spectrum(eigenvalues)
        found = power_iteration(lambda v: H @ v, len(eigenvalues), seed=1)
        np.testing.assert_allclose(found, np.abs(np.linalg.eigvalsh(H)).max(), rtol=1e-3)

    @pytest.mark.parametrize("seed", range(5))
    def test_of_a_covariance_matrix(self, seed: int) -> None:
        A = np.random.default_rng(seed).standard_normal((60, 30))
        A[:, 0] *= 3
        H = A.T @ A / 60
        found = power_iteration(lambda v: H @ v, 30, seed)
        np.testing.assert_allclose(found, np.linalg.eigvalsh(H).max(), rtol=1e-3)

    def test_never_says_more_than_there_is(self) -> None:
        """Close eigenvalues: the estimate comes from below."""
        H = np.diag(np.linspace(0.9, 1.0, 50))
        assert 0.9 < power_iteration(lambda v: H @ v, 50, seed=1) <= 1 + 1e-12

    def test_of_nothing(self) -> None:
        assert power_iteration(np.zeros_like, 3, seed=1) == 0

    def test_is_a_function_of_the_seed(self) -> None:
        H = self.spectrum([5, 4.9, 1])
        assert power_iteration(lambda v: H @ v, 3, 1) == power_iteration(lambda v: H @ v, 3, 1)
        assert power_iteration(lambda v: H @ v, 3, 1) != power_iteration(lambda v: H @ v, 3, 2)
