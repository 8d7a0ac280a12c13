from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.krum import Krum
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, krum_choice, over_codes, over_dims, vectors
from mpirobust.types import Norm
from tests.support.plans import changed, fault


@over_codes
@over_dims
@pytest.mark.parametrize(("beta", "silent", "f"), [(0.0, (), 0), (0.2, (), 3), (0.2, (1, 9), 3)])
def test_takes_the_one_with_the_nearest_neighbours(
    code: Compressor, dim: int, beta: float, silent: tuple[int, ...], f: int
) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    verdict = judged(Krum(beta=beta), box.inbox)
    best = krum_choice(box.said, f)[0]
    assert verdict.kept.tolist() == box.mask([best])
    np.testing.assert_allclose(verdict.step, box.said[best], rtol=1e-14)


@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_sees_small_differences_of_long_vectors(offset: float) -> None:
    said = vectors(12, 50)
    shifted = said + offset  # squares of 1e18 beside differences of 1
    assert np.argmax(judged(Krum(beta=0.25), a_round(shifted).inbox).kept) == krum_choice(said, 3)[0]


def test_counts_on_nobody_who_is_infinitely_far() -> None:
    said = vectors(12, 50)
    said[11] = 1e200
    kept = judged(Krum(beta=0.25), a_round(said, norm=Norm(1.0)).inbox).kept
    assert np.argmax(kept) == krum_choice(said[:11], 3)[0]


def test_does_not_believe_claimed_norms() -> None:
    said = vectors(12, 50)
    said[:3] = 1e9
    rng = np.random.default_rng(0)
    boxes = [a_round(said, norm=Norm(claimed=True), claims=rng.uniform(0, 1e12, 12)) for _ in range(5)]
    kept = [judged(Krum(beta=0.25), box.inbox).kept.tolist() for box in boxes]
    assert kept == [judged(Krum(beta=0.25), a_round(said).inbox).kept.tolist()] * 5


def test_takes_the_lowest_number_of_equals() -> None:
    said = np.ones((10, 9))
    said[:2] = 5
    assert np.flatnonzero(judged(Krum(beta=0.3), a_round(said, Identity()).inbox).kept).tolist() == [2]
    two = vectors(2, 9)
    assert judged(Krum(beta=0.0), a_round(two).inbox).kept.tolist() == [True, False]


def test_needs_two_f_and_three_workers() -> None:
    Krum(beta=0.3).admit(9, 0)
    with pytest.raises(PlanFault, match=r"^beta: 0\.3 of 8 workers is f = 3; Krum needs m >= 2f \+ 3 = 9"):
        Krum(beta=0.3).admit(8, 0)


def test_the_plan_asks() -> None:
    found = fault(changed(("aggregator", {"kind": "krum", "beta": 0.45})))
    assert found.where == "aggregator.beta"
    assert "Krum needs" in found.reason
