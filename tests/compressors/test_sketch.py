from __future__ import annotations

import numpy as np
import pytest

from mpirobust.compressors.base import BLOCK
from mpirobust.compressors.sketch import Sketch
from mpirobust.errors import Malformed, PlanFault
from mpirobust.types import flat
from tests.support.statistics import assert_unbiased, code_at, draws, message_of


def test_one_row_is_unbiased() -> None:
    v = np.random.default_rng(0).standard_normal(12)
    assert_unbiased(Sketch(rows=1, columns=5), v, 6000, reach=np.abs(v).sum())


def test_error_of_one_row_is_what_it_says() -> None:
    v = np.random.default_rng(0).standard_normal(40)
    errors = ((draws(Sketch(rows=1, columns=50), v, 3000) - v) ** 2).sum(axis=1) / (v @ v)
    assert errors.mean() == pytest.approx(39 / 50, abs=5 * errors.std() / 3000**0.5)
    assert Sketch(rows=1, columns=50).delta(flat(40)) == pytest.approx(1 - 39 / 50, abs=2e-3)
    assert Sketch(rows=1, columns=39).delta(flat(40)) is None
    assert Sketch(rows=5, columns=50).delta(flat(40)) is None


def test_heavy_coordinates_come_out_of_a_short_sketch() -> None:
    """What it is for (Ivkin et al. 2019): 5 x 500 sums instead of 20,000 coordinates."""
    v = 0.01 * np.random.default_rng(0).standard_normal(20_000)
    heavy = np.array([5, BLOCK, 12_345, 19_999])
    v[heavy] = [10, -20, 30, -40]
    decoded = draws(Sketch(rows=5, columns=500), v, 1)[0]
    np.testing.assert_allclose(decoded[heavy], v[heavy], atol=0.5)
    np.testing.assert_array_equal(np.sort(np.argsort(-np.abs(decoded))[:4]), heavy)


def test_the_median_of_rows_is_taken() -> None:
    """One row whose sums are a lie moves no coordinate of three."""
    v = np.zeros(50)
    v[7] = 5.0
    compressor = Sketch(rows=3, columns=1000)
    table = np.frombuffer(message_of(compressor, v), "<f4").copy()
    table[:1000] = 1e30
    np.testing.assert_array_equal(code_at(compressor, 50, 0).decode(table.tobytes()), v)


def test_sends_its_table_and_no_hashes() -> None:
    assert len(message_of(Sketch(rows=3, columns=7), np.ones(1000))) == 3 * 7 * 4


def test_refuses_more_coordinates_than_its_hashes_tell_apart() -> None:
    with pytest.raises(PlanFault):
        Sketch(rows=1, columns=1).admit(flat(2**31))


def test_refuses_a_sum_that_is_not_finite_even_where_the_median_hides_it() -> None:
    compressor = Sketch(rows=3, columns=5)
    table = np.frombuffer(message_of(compressor, np.ones(4)), "<f4").copy()
    table[:5] = np.inf
    with pytest.raises(Malformed, match="not finite"):
        code_at(compressor, 4, 0).norm(table.tobytes(), 2.0)
