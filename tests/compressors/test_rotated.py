from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from mpirobust.compressors._hadamard import hadamard
from mpirobust.compressors.base import BLOCK
from mpirobust.compressors.rotated import Rotated
from mpirobust.errors import Malformed
from mpirobust.types import flat
from tests.support.statistics import assert_unbiased, code_at, draws, message_of


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_the_transform_is_hadamards(n: int) -> None:
    x = np.random.default_rng(n).standard_normal(n)
    np.testing.assert_allclose(hadamard(x), linalg.hadamard(n) @ x / n**0.5, atol=1e-12)
    np.testing.assert_allclose(hadamard(hadamard(x)), x, atol=1e-12)


@pytest.mark.parametrize(("dim", "levels"), [(11, 2), (16, 5)])
def test_is_unbiased(dim: int, levels: int) -> None:
    v = np.random.default_rng(0).standard_normal(dim)
    assert_unbiased(Rotated(levels=levels), v, 4000, reach=4 * float(np.linalg.norm(v)))


def test_is_unbiased_for_one_rotation() -> None:
    v, code = np.random.default_rng(0).standard_normal(11), code_at(Rotated(levels=3), 11, 0)
    rng = np.random.default_rng(1)
    decoded = np.array([code.decode(code.encode(v, rng)) for _ in range(2000)])
    np.testing.assert_allclose(decoded.mean(axis=0), v, atol=6 * decoded.std(axis=0).max() / 2000**0.5)


def test_rotation_spreads_a_single_entry() -> None:
    """Without the rotation one large entry costs all the others their precision."""
    v = np.random.default_rng(0).standard_normal(1024)
    v[3] = 1000.0
    errors = ((draws(Rotated(levels=16), v, 20) - v) ** 2).sum(axis=1)
    assert errors.max() < 0.01 * (v @ v)  # both ends are ± 1000/32 times a sign, few values between


def test_two_ends_with_other_rotations_do_not_understand_each_other() -> None:
    v = np.random.default_rng(0).standard_normal(64)
    compressor = Rotated(levels=256)
    message = message_of(compressor, v, 0)
    np.testing.assert_allclose(code_at(compressor, 64, 0).decode(message), v, atol=0.1)
    assert np.linalg.norm(code_at(compressor, 64, 1).decode(message) - v) > 1


@pytest.mark.parametrize(("dim", "bits"), [(BLOCK, BLOCK), (2 * BLOCK, 2 * BLOCK), (BLOCK + 5, BLOCK + 8), (123, 128)])
def test_takes_the_bits_of_a_level_for_each_padded_coordinate(dim: int, bits: int) -> None:
    for levels, width in ((2, 1), (3, 2), (16, 4), (17, 5)):
        message = message_of(Rotated(levels=levels), np.ones(dim))
        assert len(message) == 8 * -(-dim // BLOCK) + width * bits // 8


def test_refuses_levels_and_ends_that_are_none() -> None:
    code = code_at(Rotated(levels=3), 4, 0)
    ends = np.array([-1.0, 1.0], "<f4").tobytes()
    assert code.norm(ends + b"\x00", 2.0) == 2
    with pytest.raises(Malformed, match="level"):
        code.norm(ends + b"\x03", 2.0)
    with pytest.raises(Malformed, match="end"):
        code.norm(np.array([-1.0, np.inf], "<f4").tobytes() + b"\x00", 2.0)


def test_delta_needs_more_levels_for_longer_blocks() -> None:
    assert Rotated(levels=2).delta(flat(1)) is not None
    assert Rotated(levels=5).delta(flat(10**6)) is None
    assert (
        Rotated(levels=16).delta(flat(10**6)) == Rotated(levels=16).delta(flat(BLOCK)) == pytest.approx(0.911, abs=1e-3)
    )
