from __future__ import annotations

import numpy as np
import pytest

from mpirobust.compressors.base import BLOCK
from mpirobust.compressors.terngrad import TernGrad
from mpirobust.errors import Malformed
from mpirobust.testing.support.codes import drawn
from mpirobust.types import flat
from tests.support.statistics import assert_unbiased, draws, message_of


def test_certain_entries_come_through() -> None:
    v = np.array([2.0, -2.0, 0.0, 2.0, 0.0, -2.0])
    message = message_of(TernGrad(), v)
    assert message == np.float32(2.0).tobytes() + bytes([2 + 0 * 3 + 1 * 9 + 2 * 27 + 1 * 81, 0])
    np.testing.assert_array_equal(drawn(TernGrad(), 6).decode(message), v)


def test_is_unbiased_and_ternary() -> None:
    v = np.random.default_rng(0).standard_normal(40)
    assert_unbiased(TernGrad(), v, 4000, reach=np.abs(v).max())
    levels = np.unique(draws(TernGrad(), v, 50) / np.float32(np.abs(v).max()))
    np.testing.assert_array_equal(levels, [-1, 0, 1])


@pytest.mark.parametrize("dim", [1, 5, 6, BLOCK, BLOCK + 1, 100_000])
def test_takes_five_coordinates_a_byte(dim: int) -> None:
    nbytes = len(message_of(TernGrad(), np.random.default_rng(0).standard_normal(dim)))
    assert nbytes <= 4 + dim / 5 + dim // BLOCK + 1


@pytest.mark.parametrize("dim", [1, 2, 4, 8])
def test_delta_is_reached_by_its_worst_vector(dim: int) -> None:
    v = np.full(dim, 1 / (dim**0.5 + 1))
    v[0] = 1.0
    error = np.abs(v).sum() / (v @ v) - 1
    assert 1 - error == pytest.approx(TernGrad().delta(flat(dim)), abs=2e-6)
    assert TernGrad().delta(flat(9)) is None


@pytest.mark.parametrize("scale", [-1.0, np.inf, np.nan])
def test_refuses_a_scale_that_is_none(scale: float) -> None:
    with pytest.raises(Malformed, match="scale"):
        drawn(TernGrad(), 5).norm(np.float32(scale).tobytes() + b"\0", 2.0)


def test_refuses_a_byte_that_is_not_five_trits() -> None:
    code, scale = drawn(TernGrad(), 5), np.float32(1.0).tobytes()
    assert code.norm(scale + bytes([242]), 1.0) == 5
    with pytest.raises(Malformed, match="trits"):
        code.norm(scale + bytes([243]), 1.0)
