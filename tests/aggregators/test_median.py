from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.median import Median
from mpirobust.compressors.base import Compressor
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors


@over_codes
@over_dims
@pytest.mark.parametrize(("m", "silent"), [(1, ()), (2, ()), (2, (0,)), (7, (3,)), (8, (3,))])
def test_is_the_median_of_every_coordinate(code: Compressor, dim: int, m: int, silent: tuple[int, ...]) -> None:
    box = a_round(vectors(m, dim), code, 0.3, silent)
    verdict = judged(Median(), box.inbox)
    np.testing.assert_allclose(verdict.step, np.median(box.said, axis=0), rtol=1e-14)
    assert verdict.kept.tolist() == box.mask(slice(None))


def test_does_not_overflow_between_two() -> None:
    said = np.full((2, 1), 1.2e154)
    assert judged(Median(), a_round(said, scale=1e154).inbox).step.tolist() == [1.2e154 * 1e154]
