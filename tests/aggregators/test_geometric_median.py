from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.compressors.base import Compressor
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, pull, vectors


@over_codes
@over_dims
@pytest.mark.parametrize("silent", [(), (1, 9)])
def test_is_where_the_pulls_cancel(code: Compressor, dim: int, silent: tuple[int, ...]) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    verdict = judged(GeometricMedian(), box.inbox)
    assert pull(box.said, verdict.step) < 1e-5
    assert verdict.kept.tolist() == box.mask(slice(None))


@pytest.mark.parametrize("size", [1e2, 1e6, 1e12, 1e100])
def test_cancels_beside_outliers_too(size: float) -> None:
    said = vectors(20, 30)
    said[:8] = size * np.random.default_rng(1).standard_normal((8, 30))
    assert pull(said, judged(GeometricMedian(), a_round(said).inbox).step) < 1e-5


def test_is_the_median_on_a_line() -> None:
    said = np.array([[0.0], [1.0], [2.0], [50.0], [1e9]])
    np.testing.assert_allclose(judged(GeometricMedian(iterations=10_000), a_round(said).inbox).step, [2.0], atol=1e-2)


def test_finds_a_median_that_is_one_of_the_messages() -> None:
    said = np.vstack([np.zeros((1, 4)), np.eye(4), -np.eye(4)])
    np.testing.assert_allclose(judged(GeometricMedian(), a_round(said).inbox).step, np.zeros(4), atol=1e-9)


def test_is_what_a_majority_says() -> None:
    said = vectors(9, 6)
    said[4:] = said[4]
    np.testing.assert_allclose(judged(GeometricMedian(), a_round(said).inbox).step, said[4], rtol=1e-12)


@pytest.mark.parametrize(("iterations", "tolerance"), [(3, 0.0), (1000, 0.5)])
def test_ends_when_it_is_told(iterations: int, tolerance: float) -> None:
    said = vectors(14, 30)
    said[:5] += 3
    rough = pull(
        said,
        judged(GeometricMedian(iterations=iterations, tolerance=tolerance), a_round(said).inbox).step,
    )
    assert 1e-5 < rough < 0.2
