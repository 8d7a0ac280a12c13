from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.multi_krum import MultiKrum
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, krum_choice, over_codes, over_dims, vectors


@over_codes
@over_dims
@pytest.mark.parametrize(("keep", "silent", "count"), [(None, (), 11), (None, (1, 9), 9), (4, (1, 9), 4), (1, (), 1)])
def test_averages_the_best(code: Compressor, dim: int, keep: int | None, silent: tuple[int, ...], count: int) -> None:
    box = a_round(vectors(14, dim), code, 0.3, silent)
    verdict = judged(MultiKrum(beta=0.2, keep=keep), box.inbox)
    best = krum_choice(box.said, 3)[:count]
    assert verdict.kept.tolist() == box.mask(best)
    np.testing.assert_allclose(verdict.step, box.said[best].mean(axis=0), rtol=1e-12, atol=1e-14)


def test_keeps_no_more_than_are_surely_honest() -> None:
    kept = judged(MultiKrum(beta=0.2, keep=9), a_round(vectors(14, 9), silent=(0, 1, 2, 3)).inbox).kept
    assert kept.sum() == 10 - 3
    kept = judged(MultiKrum(beta=0.2), a_round(vectors(14, 9), silent=tuple(range(12))).inbox).kept
    assert kept.sum() == 1


def test_fits_some_numbers_of_workers() -> None:
    MultiKrum(beta=0.2, keep=11).admit(14, 0)
    with pytest.raises(PlanFault, match=r"^keep: 12 of 14 workers; choose at most m - f = 11"):
        MultiKrum(beta=0.2, keep=12).admit(14, 0)
    with pytest.raises(PlanFault, match=r"^beta: .* Krum needs m >= 2f \+ 3 = 9"):
        MultiKrum(beta=0.4).admit(7, 0)
