from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors
from mpirobust.types import Vector
from tests.support.plans import changed, fault


def word_for_word(said: NDArray[np.float64], f: float) -> Vector:
    """Alg. 2 of the paper, by singular values of the weighted, centered vectors."""
    c, best, smallest = np.ones(len(said)), said.mean(axis=0), np.inf
    while c.sum() > len(said) - 2 * f:
        mean = c @ said / c.sum()
        _, sizes, directions = np.linalg.svd(np.sqrt(c / c.sum())[:, None] * (said - mean), full_matrices=False)
        if sizes[0] ** 2 < smallest:
            best, smallest = mean, sizes[0] ** 2
        tau = ((said - mean) @ directions[0]) ** 2
        c = c * (1 - tau / tau[c > 0].max()).clip(0)
    return np.asarray(best)


def far_from_alike(m: int, dim: int, spread: float, byzantine: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Honest answers about (1, 0, 0, ...) whose noise is `spread` long, and colluders at -spread times that."""
    noise = np.random.default_rng(2).standard_normal((m - byzantine, dim)) * spread / np.sqrt(dim)
    noise -= noise.mean(axis=0)
    honest = np.eye(dim)[0] + noise
    return np.vstack([honest, np.tile(-spread * np.eye(dim)[0], (byzantine, 1))]), honest


@over_codes
@over_dims
@pytest.mark.parametrize(("beta", "silent", "f"), [(0.0, (), 0), (0.1, (), 2), (0.2, (1, 9), 3), (0.3, (4,), 5)])
def test_does_as_the_paper_says(code: Compressor, dim: int, beta: float, silent: tuple[int, ...], f: int) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    verdict = judged(CAF(beta=beta), box.inbox)
    np.testing.assert_allclose(verdict.step, word_for_word(box.said, f), rtol=1e-7, atol=1e-9)


def test_sets_for_nobody_is_the_mean() -> None:
    box = a_round(vectors(9, 30))
    verdict = judged(CAF(beta=0.0), box.inbox)
    np.testing.assert_allclose(verdict.step, box.said.mean(axis=0), rtol=1e-13, atol=1e-14)
    assert verdict.kept.all()


def test_sees_colluders_whom_distances_do_not_tell_from_honest_workers() -> None:
    """With 20 rows in 1000 dimensions an honest answer is six or seven times as long as the mean of all."""
    said, honest = far_from_alike(100, 500, 7.0, 10)
    center = honest.mean(axis=0)
    assert np.linalg.norm(said[-1] - honest[0]) < 1.1 * np.linalg.norm(honest[0] - honest[1])
    verdict = judged(CAF(beta=0.1), a_round(said).inbox)
    assert not verdict.kept[-10:].any()
    assert np.linalg.norm(verdict.step - center) < 0.4
    assert np.linalg.norm(judged(GeometricMedian(), a_round(said).inbox).step - center) > 0.7


@pytest.mark.parametrize("shift", [2.0, 4.0, 8.0])
def test_noise_of_the_honest_kind_does_not_hide_colluders(shift: float) -> None:
    """Each sends what an honest worker sends, less `shift` times the mean; at 9 the plain mean is zero."""
    _, honest = far_from_alike(100, 500, 7.0, 10)
    center = honest.mean(axis=0)
    box = a_round(np.vstack([honest, honest[:10] - shift * center]))
    assert np.linalg.norm(judged(CAF(beta=0.1), box.inbox).step - center) < 0.25
    assert np.linalg.norm(judged(GeometricMedian(), box.inbox).step - center) > 0.25


@pytest.mark.parametrize("beta", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("size", [1e2, 1e8, 1e100, 1e149])
def test_far_outliers_of_every_length_leave_nothing_behind(beta: float, size: float) -> None:
    honest = vectors(20, 30)
    said, number = honest.copy(), int(20 * beta)
    said[:number] = size * np.linspace(1, 2, number)[:, None]
    verdict = judged(CAF(beta=beta), a_round(said).inbox)
    assert not verdict.kept[:number].any()
    assert np.linalg.norm(verdict.step - honest[number:].mean(axis=0)) < 3


def test_a_majority_must_be_left() -> None:
    CAF(beta=0.3).admit(8, 0)
    with pytest.raises(PlanFault, match=r"^beta: 0\.45 of 8 workers, rounded up, is no minority"):
        CAF(beta=0.45).admit(8, 0)


def test_the_plan_asks() -> None:
    found = fault(changed(("aggregator", {"kind": "caf", "beta": 0.05}), ("attack", {"kind": "zero", "alpha": 0.2})))
    assert found.where == "aggregator.beta"
