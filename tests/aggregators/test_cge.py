"""Comparative gradient elimination: norm trimming but for the lengths, and for who is gone."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.aggregators.cge import CGE
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.sign import Sign
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, vectors
from mpirobust.types import Norm


@over_codes
@over_dims
def test_is_norm_trimming_where_all_are_sound_and_measured_by_the_2_norm(code: Compressor, dim: int) -> None:
    inbox = a_round(vectors(14, dim), code, 0.3).inbox
    ours, theirs = judged(CGE(beta=0.3), inbox), judged(NormTrim(beta=0.3), inbox)
    np.testing.assert_array_equal(ours.kept, theirs.kept)
    assert ours.step.tobytes() == theirs.step.tobytes()


def test_equals_are_dropped_by_the_highest_numbers() -> None:
    kept = judged(CGE(beta=0.3), a_round(vectors(10, 9), Sign(zeros="plus")).inbox).kept
    assert kept.tolist() == [True] * 7 + [False] * 3


def test_those_who_are_gone_are_not_among_the_dropped() -> None:
    inbox = a_round(vectors(10, 9), silent=(1, 2)).inbox
    assert judged(NormTrim(beta=0.3), inbox).kept.sum() == 7
    assert judged(CGE(beta=0.3), inbox).kept.sum() == 5


@pytest.mark.parametrize("q", [1.0, np.inf])
def test_measures_by_the_2_norm_whatever_the_plan_does(q: float) -> None:
    box = a_round(vectors(20, 9), norm=Norm(q))
    longest = np.argsort(np.linalg.norm(box.said, axis=1))[15:]
    assert set(np.flatnonzero(~judged(CGE(beta=0.25), box.inbox).kept)) == set(longest)
    assert set(np.flatnonzero(~judged(NormTrim(beta=0.25), box.inbox).kept)) != set(longest)


def test_believes_no_claim() -> None:
    said, claims = vectors(10, 9), np.ones(10)
    said[3] *= 1e3
    claims[3] = 0.0
    inbox = a_round(said, norm=Norm(claimed=True), claims=claims).inbox
    assert judged(NormTrim(beta=0.1), inbox).kept[3]
    assert not judged(CGE(beta=0.1), inbox).kept[3]
