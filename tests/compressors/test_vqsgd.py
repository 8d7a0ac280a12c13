from __future__ import annotations

from math import ceil, log2

import numpy as np
import pytest

from mpirobust.compressors._sparse import pack_positions
from mpirobust.compressors.vqsgd import VQSGD
from mpirobust.errors import Malformed
from mpirobust.testing.support.codes import drawn
from mpirobust.types import flat
from tests.support.statistics import assert_unbiased, draws, message_of


def _message(norm: float, corners: list[int], dim: int) -> bytes:
    return np.float32(norm).tobytes() + pack_positions(np.array(corners), 2 * dim)


@pytest.mark.parametrize("samples", [1, 12])
def test_is_unbiased(samples: int) -> None:
    v = np.random.default_rng(0).standard_normal(9)
    v[3] = 0
    assert_unbiased(VQSGD(samples=samples), v, 6000, reach=3 * np.linalg.norm(v) + np.abs(v).max())


def test_error_is_what_it_says() -> None:
    """Exactly (d - 1)/samples, for every vector; one sample always errs by as much as its angle says."""
    dim, samples = 16, 64
    for v in (np.ones(dim), np.random.default_rng(0).standard_normal(dim)):
        errors = ((draws(VQSGD(samples=samples), v, 4000) - v) ** 2).sum(axis=1) / (v @ v)
        assert errors.mean() == pytest.approx((dim - 1) / samples, abs=5 * errors.std() / 4000**0.5)
    assert VQSGD(samples=64).delta(flat(16)) == pytest.approx(1 - 15 / 64, abs=1e-5)
    assert VQSGD(samples=15).delta(flat(16)) is None


@pytest.mark.parametrize(("dim", "samples"), [(100_000, 1), (100_000, 7), (100_000, 8), (100_000, 1000), (123, 40)])
def test_takes_at_most_log2_of_twice_d_bits_a_sample(dim: int, samples: int) -> None:
    message = message_of(VQSGD(samples=samples), np.random.default_rng(0).standard_normal(dim))
    assert len(message) - 4 <= ceil(samples * log2(2 * dim) / 8)


def test_corners_are_counted() -> None:
    decoded = drawn(VQSGD(samples=4), 4).decode(_message(2.0, [0, 0, 3, 7], 4))  # +e0 twice, -e1, -e3
    np.testing.assert_allclose(decoded, [2, -1, 0, -1])
    np.testing.assert_array_equal(drawn(VQSGD(samples=2), 4).decode(_message(2.0, [4, 5], 4)), 0)  # +e2 and -e2


@pytest.mark.parametrize("corners", [[1, 0], [0, 8], [8, 8]])
def test_refuses_corners_that_are_none(corners: list[int]) -> None:
    number = corners[0] * 8 + corners[1]
    message = np.float32(1.0).tobytes() + number.to_bytes(1, "big")
    with pytest.raises(Malformed, match="ascending"):
        drawn(VQSGD(samples=2), 4).norm(message, 2.0)


@pytest.mark.parametrize("norm", [-1.0, np.inf, np.nan])
def test_refuses_a_norm_that_is_none(norm: float) -> None:
    with pytest.raises(Malformed, match="norm"):
        drawn(VQSGD(samples=2), 4).norm(_message(norm, [0, 0], 4), 2.0)
