from __future__ import annotations

import numpy as np
import pytest

from mpirobust.compressors.pca import PCA
from mpirobust.errors import PlanFault
from mpirobust.types import flat
from tests.support.statistics import draws, message_of


@pytest.mark.parametrize(("k", "rows", "columns"), [(1, 10, 10), (3, 10, 12), (10, 10, 11)])
def test_is_the_truncated_singular_value_decomposition(k: int, rows: int, columns: int) -> None:
    matrix = np.random.default_rng(k).standard_normal((rows, columns))
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    best = left[:, :k] * values[:k] @ right[:k]
    np.testing.assert_allclose(draws(PCA(k=k), matrix.ravel(), 1)[0].reshape(rows, columns), best, atol=2e-6)


def test_low_rank_comes_through_whatever_its_scale() -> None:
    matrix = np.outer([1.0, -2, 3], [4.0, 0, -1])
    for scale in (1e-25, 1.0, 1e25):
        decoded = draws(PCA(k=2), scale * matrix.ravel(), 1)[0]
        np.testing.assert_allclose(decoded, scale * matrix.ravel(), rtol=1e-6, atol=1e-6 * scale)


def test_delta_is_reached_where_all_singular_values_are_equal() -> None:
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0].ravel()
    for k in (1, 5, 12):
        error = draws(PCA(k=k), orthogonal, 1)[0] - orthogonal
        assert (error @ error) / 12 == pytest.approx(1 - k / 12, abs=1e-6)
        assert PCA(k=k).delta(flat(144)) == pytest.approx(k / 12, abs=2e-6)


def test_sends_two_factors() -> None:
    assert len(message_of(PCA(k=2), np.ones(123))) == 2 * (11 + 12) * 4


def test_refuses_a_rank_above_that_of_the_matrix() -> None:
    PCA(k=11).admit(flat(123))
    with pytest.raises(PlanFault, match="choose 1 to 11"):
        PCA(k=12).admit(flat(123))
