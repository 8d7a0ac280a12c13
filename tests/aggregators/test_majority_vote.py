from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.majority_vote import MajorityVote
from mpirobust.compressors.base import Compressor
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors


@over_codes
@over_dims
@pytest.mark.parametrize("scale", [1.0, 0.03])
def test_counts_the_votes(code: Compressor, dim: int, scale: float) -> None:
    box = a_round(vectors(8, dim), code, scale, silent=(2,))
    verdict = judged(MajorityVote(), box.inbox)
    more, less = (box.said > 0).sum(axis=0), (box.said < 0).sum(axis=0)
    np.testing.assert_array_equal(verdict.step, scale * np.where(more > less, 1, np.where(more < less, -1, 0)))
    assert verdict.kept.tolist() == box.mask(slice(None))


def test_a_tie_is_no_step_and_a_zero_no_vote() -> None:
    said = np.array([[1.0, 1.0, 0.0, -0.0, 5.0], [-2.0, 3.0, 0.0, -7.0, 5.0], [0.0, -9.0, 0.0, 0.0, -1e300]])
    with np.errstate(over="ignore"):
        assert judged(MajorityVote(), a_round(said[:2], scale=0.5).inbox).step.tolist() == [
            0.0,
            0.5,
            0.0,
            -0.5,
            0.5,
        ]
    said[2, 4] = -1e100
    assert judged(MajorityVote(), a_round(said, scale=0.5).inbox).step.tolist() == [
        0.0,
        0.5,
        0.0,
        -0.5,
        0.5,
    ]


def test_stands_every_minority() -> None:
    said = np.ones((201, 9))
    said[:100] = -1e50
    np.testing.assert_array_equal(judged(MajorityVote(), a_round(said).inbox).step, np.ones(9))
    said[100] = -1
    np.testing.assert_array_equal(judged(MajorityVote(), a_round(said).inbox).step, -np.ones(9))
