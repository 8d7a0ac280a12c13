from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors


@over_codes
@over_dims
@pytest.mark.parametrize(("m", "beta", "silent", "cut"), [(10, 0.2, (), 2), (11, 0.2, (4,), 3), (20, 0.15, (1, 2), 3)])
def test_drops_both_ends_of_every_coordinate(
    code: Compressor, dim: int, m: int, beta: float, silent: tuple[int, ...], cut: int
) -> None:
    box = a_round(vectors(m, dim), code, 0.3, silent)
    verdict = judged(TrimmedMean(beta=beta), box.inbox)
    expected = np.sort(box.said, axis=0)[cut : len(box.said) - cut].mean(axis=0)
    np.testing.assert_allclose(verdict.step, expected, rtol=1e-12, atol=1e-15)
    assert verdict.kept.tolist() == box.mask(slice(None))


@pytest.mark.parametrize("silent", [(0, 1, 2), (0, 1, 2, 3), tuple(range(8)), tuple(range(9))])
def test_is_the_median_where_too_few_are_sound(silent: tuple[int, ...]) -> None:
    box = a_round(vectors(10, 9), silent=silent)
    np.testing.assert_allclose(judged(TrimmedMean(beta=0.4), box.inbox).step, np.median(box.said, axis=0))


def test_fits_no_team_of_which_nothing_would_be_left() -> None:
    TrimmedMean(beta=0.4).admit(5, 0)
    with pytest.raises(PlanFault, match=r"^beta: 0\.4 of 2 workers, rounded up, at both ends leaves nothing"):
        TrimmedMean(beta=0.4).admit(2, 0)
