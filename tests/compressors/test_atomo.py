from __future__ import annotations

import numpy as np
import pytest

from mpirobust.compressors.atomo import Atomo, probabilities, sampled
from mpirobust.compressors.layerwise import Layerwise
from mpirobust.compressors.pca import PCA
from mpirobust.errors import PlanFault
from mpirobust.problems.network import Network
from mpirobust.types import flat
from tests.support.statistics import assert_unbiased, draws, message_of

RNG = np.random.default_rng(0)
MATRIX = (np.linalg.qr(RNG.standard_normal((6, 6)))[0] * [5.0, 2, 1, 1, 0.5, 0]) @ np.linalg.qr(
    RNG.standard_normal((7, 6))
)[0].T  # singular values 5, 2, 1, 1, 1/2, 0


def test_is_unbiased() -> None:
    assert_unbiased(Atomo(budget=2), MATRIX.ravel(), 1000, reach=9.5)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (1, [5 / 9.5, 2 / 9.5, 1 / 9.5, 1 / 9.5, 0.5 / 9.5, 0]),
        (2, [1, 2 / 4.5, 1 / 4.5, 1 / 4.5, 0.5 / 4.5, 0]),
        (3, [1, 4 / 4.5, 2 / 4.5, 2 / 4.5, 1 / 4.5, 0]),
        (4, [1, 1, 0.8, 0.8, 0.4, 0]),
        (5, [1, 1, 1, 1, 1, 0]),
        (6, [1, 1, 1, 1, 1, 1]),
    ],
)
def test_the_probabilities_of_the_paper(budget: int, expected: list[float]) -> None:
    """By hand: the largest are certain, the others in proportion to their size."""
    sizes = np.array([5, 2, 1, 1, 0.5, 0])
    order = [3, 0, 5, 1, 4, 2]
    np.testing.assert_allclose(probabilities(sizes[order], budget), np.array(expected)[order], atol=1e-15)


def test_what_is_left_is_shared_if_all_other_sizes_are_zero() -> None:
    np.testing.assert_allclose(probabilities(np.array([0.0, 2, 0, 0]), 2), [1 / 3, 1, 1 / 3, 1 / 3])


def test_samples_with_these_probabilities_and_always_as_many() -> None:
    p, rounds = probabilities(np.array([4.0, 3, 2, 1, 1, 0.5]), 3), 5000
    found = np.array([sampled(p, 3, RNG) for _ in range(rounds)])
    assert (np.diff(found, axis=1) > 0).all()
    share = np.bincount(found.ravel(), minlength=6) / rounds
    np.testing.assert_allclose(share, p, atol=5 * 0.5 / rounds**0.5)


@pytest.mark.parametrize("budget", [1, 3])
def test_the_variance_is_that_of_the_paper(budget: int) -> None:
    """`Σ σ_i² (1/p_i - 1)`; for one atom that is `||X||_*² - ||X||²` (Wang et al. 2018, §3)."""
    sizes = np.array([5, 2, 1, 1, 0.5])
    p = probabilities(sizes, budget)
    expected = float((sizes**2 * (1 / p - 1)).sum())
    if budget == 1:
        assert expected == pytest.approx(9.5**2 - 31.25)
    errors = ((draws(Atomo(budget=budget), MATRIX.ravel(), 800) - MATRIX.ravel()) ** 2).sum(axis=1)
    assert errors.mean() == pytest.approx(expected, abs=5 * errors.std() / 800**0.5 + 1e-6)


def test_delta_is_reached_where_all_singular_values_are_equal() -> None:
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0].ravel()
    for budget in (7, 9, 12):
        errors = draws(Atomo(budget=budget), orthogonal, 20) - orthogonal
        assert (errors**2).sum(axis=1) / 12 == pytest.approx(12 / budget - 1, abs=1e-5)
        assert Atomo(budget=budget).delta(flat(144)) == pytest.approx(2 - 12 / budget, abs=2e-6)
    assert Atomo(budget=6).delta(flat(144)) is None


def test_low_rank_is_sent_as_it_is_whatever_its_scale() -> None:
    matrix = np.outer([1.0, -2, 3], [4.0, 0, -1])
    for scale in (1e-25, 1.0, 1e25):
        decoded = draws(Atomo(budget=1), scale * matrix.ravel(), 1)[0]
        np.testing.assert_allclose(decoded, scale * matrix.ravel(), rtol=1e-6, atol=1e-6 * scale)


def test_is_as_long_as_the_leading_vectors() -> None:
    assert len(message_of(Atomo(budget=2), np.ones(123))) == len(message_of(PCA(k=2), np.ones(123)))


def test_layer_by_layer_for_a_network() -> None:
    layout = Network(hidden=(9,), classes=4).layout(16)  # parts of 144, 9, 36 and 4 numbers
    Layerwise(compressor=Atomo(budget=2)).admit(layout)
    with pytest.raises(PlanFault, match=r"compressor.budget: 3 is more than √4; choose 1 to 2"):
        Layerwise(compressor=Atomo(budget=3)).admit(layout)
