"""Norms of any order: between those of their neighbours, and neither overflowing nor vanishing on the way."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.numerics.norms import q_norm

V = np.array([3.0, -4.0, 0.0, 12.0])


@pytest.mark.parametrize("q", [1.0, 1.25, 1.5, 2.0, 3.0, 7.5, 60.0, np.inf])
def test_is_the_norm(q: float) -> None:
    assert q_norm(V, q) == pytest.approx(np.linalg.norm(V, q), rel=1e-14)
    assert q_norm(np.zeros(3), q) == q_norm(np.zeros(0), q) == 0


@pytest.mark.parametrize("q", [1.5, 3.0, 40.0, 1e6])
@pytest.mark.parametrize("length", [1e-300, 1e-30, 1e30, 1e300])
def test_powers_neither_overflow_nor_vanish(q: float, length: float) -> None:
    assert q_norm(length * V, q) == pytest.approx(length * q_norm(V, q), rel=1e-13)
    assert length * 12 <= q_norm(length * V, q) <= length * 19


@pytest.mark.parametrize("q", [1.0, 1.5, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_of_what_is_not_finite_is_not_finite(q: float, number: float) -> None:
    assert not np.isfinite(q_norm(np.array([1.0, number, 2.0]), q))


def test_of_order_one_and_a_half_by_hand() -> None:
    """1 + 8 + 27 = 36, and 36^(2/3) = 10.9027."""
    assert q_norm(np.array([1.0, -4.0, 9.0]), 1.5) == pytest.approx(10.902724, abs=1e-6)
