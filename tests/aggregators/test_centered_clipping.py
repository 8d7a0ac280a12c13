from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.centered_clipping import CenteredClipping
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.compressors.base import Compressor
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors
from mpirobust.types import Vector


def clipped(said: NDArray[np.float64], start: Vector, radius: float, iterations: int) -> NDArray[np.float64]:
    v = start.astype(np.float64)
    for _ in range(iterations):
        away = said - v
        v = v + np.mean([each * min(1.0, radius / np.linalg.norm(each)) for each in away], axis=0)
    return v


@over_codes
@over_dims
@pytest.mark.parametrize("radius", [0.3, 3.0, 1e9])
@pytest.mark.parametrize("iterations", [1, 4])
def test_is_the_papers_iteration(code: Compressor, dim: int, radius: float, iterations: int) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent=(5,))
    verdict = judged(CenteredClipping(radius=radius, iterations=iterations), box.inbox)
    start = judged(GeometricMedian(), box.inbox).step
    np.testing.assert_allclose(verdict.step, clipped(box.said, start, 0.3 * radius, iterations), rtol=1e-8, atol=1e-8)
    assert verdict.kept.tolist() == box.mask(slice(None))


@pytest.mark.parametrize("radius", [1.0, 6.0])
def test_ends_where_every_start_ends(radius: float) -> None:
    said = vectors(20, 30)
    said[:6] += 10
    found = judged(CenteredClipping(radius=radius), a_round(said).inbox).step
    for start in (np.zeros(30), np.median(said, axis=0)):
        np.testing.assert_allclose(found, clipped(said, start, radius, 2000), atol=0.05)


def test_is_the_mean_where_nothing_is_clipped() -> None:
    said = vectors(9, 9)
    step = judged(CenteredClipping(radius=1e6, iterations=1), a_round(said).inbox).step
    np.testing.assert_allclose(step, said.mean(axis=0), rtol=1e-10)


@pytest.mark.parametrize("size", [1e3, 1e12, 1e100])
def test_an_outlier_pulls_by_no_more_than_the_radius(size: float) -> None:
    said = vectors(20, 30)
    near = judged(CenteredClipping(radius=2.0, iterations=1), a_round(said).inbox).step
    said[:3] = size
    far = judged(CenteredClipping(radius=2.0, iterations=1), a_round(said).inbox).step
    assert np.linalg.norm(far - near) < 3
