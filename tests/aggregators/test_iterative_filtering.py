from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.iterative_filtering import IterativeFiltering
from mpirobust.compressors.base import BLOCK, Compressor
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, vectors


def filtered(said: NDArray[np.float64], budget: float, enough: float = 0.0) -> NDArray[np.float64]:
    """The weights, straight from the vectors."""
    c = np.ones(len(said))
    while budget > 1e-12:
        away = said - c @ said / c.sum()
        direction = np.linalg.svd(np.sqrt(c)[:, None] * away, full_matrices=False)[2][0]
        tau = (away @ direction) ** 2
        if c @ tau <= enough:
            break
        ratio = tau / tau[c > 0].max()
        part = min(1.0, budget / (c @ ratio))
        c, budget = np.maximum(c * (1 - part * ratio), 0), budget - part * (c @ ratio)
    return c


def compare(code: Compressor, dim: int, beta: float, silent: tuple[int, ...], f: int) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    verdict = judged(IterativeFiltering(beta=beta), box.inbox)
    c = filtered(box.said, 2 * f)
    assert c.sum() == pytest.approx(len(box.said) - 2 * f)
    np.testing.assert_allclose(verdict.step, c @ box.said / c.sum(), rtol=1e-7, atol=1e-8)
    assert verdict.kept.tolist() == box.mask(c > 0)


@over_codes
@pytest.mark.parametrize(("beta", "silent", "f"), [(0.0, (), 0), (0.2, (), 3), (0.2, (1, 9), 3), (0.4, (), 6)])
def test_weighs_by_what_is_left(code: Compressor, beta: float, silent: tuple[int, ...], f: int) -> None:
    compare(code, 9, beta, silent, f)


def test_weighs_over_several_blocks() -> None:
    compare(L1QSGD(), BLOCK + 5, 0.2, (1, 9), 3)


@over_codes
@pytest.mark.parametrize("sigma", [0.4, 0.7, 1e3])
def test_ends_where_the_answers_vary_no_more_than_is_expected(code: Compressor, sigma: float) -> None:
    said = vectors(20, 9)
    said[:4] += 30
    box = a_round(said, code, 0.3)
    c = filtered(box.said, 12, 8 * 20 * (0.3 * sigma) ** 2)
    verdict = judged(IterativeFiltering(beta=0.3, sigma=sigma), box.inbox)
    np.testing.assert_allclose(verdict.step, c @ box.said / c.sum(), rtol=1e-8, atol=1e-8)
    if sigma == 1e3:
        assert verdict.kept.all()


@pytest.mark.parametrize("f", [1, 4, 9])
@pytest.mark.parametrize("spot", ["one", "many", "near"])
def test_nothing_is_left_of_outliers(f: int, spot: str) -> None:
    """Also of those who stand no further from the rest than honest noise is long, all on one side."""
    rng = np.random.default_rng(f)
    said = rng.standard_normal((20, 400))
    said[:f] = {
        "one": np.full(400, 100.0),
        "many": 100 * rng.standard_normal((f, 400)),
        "near": rng.standard_normal(400) * 2,
    }[spot]
    kept = judged(IterativeFiltering(beta=f / 20), a_round(said).inbox).kept
    assert not kept[:f].any()
    assert kept[f:].any()


def test_keeps_at_least_one_where_hardly_any_is_sound() -> None:
    box = a_round(vectors(10, 9), silent=tuple(range(8)))
    verdict = judged(IterativeFiltering(beta=0.4), box.inbox)
    assert verdict.kept.any()
    assert np.isfinite(verdict.step).all()


@pytest.mark.parametrize("size", [1e-170, 1e-158, 1e-150])
def test_differences_too_small_to_be_squared_are_none(size: float) -> None:
    verdict = judged(IterativeFiltering(beta=0.3), a_round(size * vectors(10, 9)).inbox)
    assert np.isfinite(verdict.step).all()
    assert verdict.kept.any()


def test_needs_weight_that_is_left() -> None:
    IterativeFiltering(beta=0.4).admit(9, 0)
    with pytest.raises(PlanFault, match=r"^beta: 0\.4 of 8 workers, rounded up and doubled, leaves no weight"):
        IterativeFiltering(beta=0.4).admit(8, 0)
