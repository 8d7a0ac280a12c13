from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.aggregators.bulyan import Bulyan
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, krum_choice, over_codes, over_dims, vectors
from tests.support.plans import changed, fault


def by_hand(said: NDArray[np.float64], f: int) -> tuple[list[int], NDArray[np.float64]]:
    """El Mhamdi et al. 2018, word for word."""
    left = list(range(len(said)))
    chosen: list[int] = []
    while len(chosen) < len(said) - 2 * f:
        chosen.append(krum_choice(said, f, left)[0])
        left.remove(chosen[-1])
    values, count = said[chosen], len(said) - 4 * f
    away = np.abs(values - np.median(values, axis=0))
    return chosen, np.take_along_axis(values, np.argsort(away, axis=0)[:count], axis=0).mean(axis=0)


@over_codes
@over_dims
@pytest.mark.parametrize(("m", "beta", "silent", "f"), [(15, 0.2, (), 3), (22, 0.15, (0, 7), 4), (9, 0.0, (), 0)])
def test_is_the_papers(code: Compressor, dim: int, m: int, beta: float, silent: tuple[int, ...], f: int) -> None:
    box = a_round(vectors(m, dim), code, 0.3, silent)
    verdict = judged(Bulyan(beta=beta), box.inbox)
    chosen, step = by_hand(box.said, f)
    assert verdict.kept.tolist() == box.mask(chosen)
    np.testing.assert_allclose(verdict.step, step, rtol=1e-12, atol=1e-14)


def test_leaves_out_as_many_on_both_sides_of_a_tie() -> None:
    said = np.repeat([[-1.0], [1.0]], 6, axis=0) * np.ones(9)  # median 0, all as far from it
    said = np.vstack([said, np.zeros((1, 9))])
    assert np.abs(judged(Bulyan(beta=0.15), a_round(said).inbox).step).max() <= 1 / 3


def test_one_hidden_coordinate_does_not_pass() -> None:
    """What Bulyan is for: as near as the honest, but for one coordinate."""
    said = np.random.default_rng(0).standard_normal((23, 2000))
    said[:5] = said[5:].mean(axis=0)
    said[:5, 7] = 30.0  # less than the distance of honest vectors, and 30 standard deviations
    verdict = judged(Bulyan(beta=0.2), a_round(said).inbox)
    assert verdict.kept[:5].all()
    assert verdict.step[7] < said[5:, 7].max()


def test_needs_four_f_and_three_workers() -> None:
    Bulyan(beta=0.2).admit(15, 0)
    with pytest.raises(PlanFault, match=r"^beta: 0\.2 of 14 workers is f = 3; Bulyan needs m >= 4f \+ 3 = 15"):
        Bulyan(beta=0.2).admit(14, 0)
    assert fault(changed(("aggregator", {"kind": "bulyan", "beta": 0.3}))).where == "aggregator.beta"
