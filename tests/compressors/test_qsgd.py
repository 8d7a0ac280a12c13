from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpirobust.compressors._rice import NonZeros, max_nbytes, pack
from mpirobust.compressors.base import BLOCK
from mpirobust.compressors.qsgd import QSGD
from mpirobust.errors import Malformed
from mpirobust.testing.support.codes import drawn
from mpirobust.types import flat
from tests.support.statistics import assert_unbiased, draws, message_of


def unpack(code: bytes, count: int, top: int) -> NDArray[np.int64]:
    out = np.zeros(count, np.int64)
    for start in range(0, count, BLOCK):
        places, values = NonZeros(count, top, BLOCK).read(code, start)
        assert (np.diff(places) > 0).all()
        assert (values != 0).all()
        out[start + places] = values
    places, values = NonZeros(count, top, count).read(code)
    np.testing.assert_array_equal(np.flatnonzero(out), places)
    np.testing.assert_array_equal(out[places], values)
    return out


def entropy(values: NDArray[np.int64]) -> float:
    """Bytes that an ideal code of independent draws from the empirical distribution takes."""
    counts = np.unique(values, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum() / 8)


@pytest.mark.parametrize("levels", [1, 4, 16, 100, 1000])
def test_is_near_the_entropy_of_a_gaussian_gradient(levels: int) -> None:
    v = np.random.default_rng(levels).standard_normal(100_000)
    message = message_of(QSGD(levels=levels), v)
    sent = np.rint(drawn(QSGD(levels=levels), v.size).decode(message) * levels / np.frombuffer(message, "<f4", 1)[0])
    assert entropy(sent.astype(np.int64)) * 0.99 < len(message) < entropy(sent.astype(np.int64)) * 1.07


def test_one_bit_at_a_hundred_coordinates_takes_some_eleven_bytes() -> None:
    """P2 §4 on a9a: d = 123, about seven non-zeros."""
    v = np.random.default_rng(0).standard_normal(123)
    v *= np.abs(v) ** 0.8
    assert 6 < np.abs(v).sum() / np.linalg.norm(v) < 7.5
    sizes = [len(message_of(QSGD(levels=1), v, round)) for round in range(300)]
    assert np.mean(sizes) < 11.5
    assert max(sizes) < QSGD(levels=1).max_nbytes(flat(123)) <= 4 + 123 / 4 + 2


@pytest.mark.parametrize(("dim", "levels"), [(20, 1), (20, 3), (20, 64)])
def test_is_unbiased(dim: int, levels: int) -> None:
    v = np.random.default_rng(dim).standard_normal(dim)
    v[0] = 0
    assert_unbiased(QSGD(levels=levels), v, 2500, reach=float(np.linalg.norm(v)) / levels)


def test_one_bit_is_the_norm_times_a_sign_or_zero() -> None:
    v = np.array([0.3, -0.4, 0.0, 1.2])
    decoded = draws(QSGD(levels=1), v, 2500) / np.float32(1.3)
    np.testing.assert_array_equal(np.unique(decoded), [-1, 0, 1])
    often = np.abs(v) / 1.3
    np.testing.assert_allclose(np.abs(decoded).mean(axis=0), often, atol=5 * (0.25 / 2500) ** 0.5)
    assert (decoded * v >= 0).all()


def test_delta_is_that_of_the_worst_vector() -> None:
    for dim in (2, 3):
        v = np.ones(dim)
        errors = ((draws(QSGD(levels=1), v, 2500) - v) ** 2).sum(axis=1) / dim
        promised = QSGD(levels=1).delta(flat(dim)) or 0
        assert promised == pytest.approx(2 - dim**0.5, abs=1e-5)
        assert 1 - errors.mean() == pytest.approx(promised, abs=5 * errors.std() / 2500**0.5)
    assert QSGD(levels=1).delta(flat(4)) is None
    assert QSGD(levels=4).delta(flat(1000)) is None
    assert QSGD(levels=32).delta(flat(1000)) == pytest.approx(1 - 1000 / 4096, abs=1e-5)


def test_a_vector_of_many_rooms_is_the_same_by_every_way() -> None:
    v = np.random.default_rng(0).standard_normal(9 * BLOCK + 5)
    code, message = drawn(QSGD(levels=100), v.size), message_of(QSGD(levels=100), v)
    decoded = code.decode(message)
    levels = np.frombuffer(message, "<f4", 1)[0] / 100 * unpack(message[4:], v.size, 100)
    np.testing.assert_allclose(decoded, levels, rtol=1e-6)
    assert code.norm(message, 2.0) == pytest.approx(float(np.linalg.norm(decoded)))


@pytest.mark.parametrize("norm", [-1.0, np.inf, np.nan])
def test_refuses_a_norm_that_is_none(norm: float) -> None:
    """Before the levels, whatever they are."""
    for levels in ([1, 0, -1], [0, 0, 0, 0, 1]):
        message = np.float32(norm).tobytes() + pack(np.array(levels), 1)
        with pytest.raises(Malformed, match="scale"):
            drawn(QSGD(levels=1), 3).norm(message, 2.0)


class TestRice:
    @settings(max_examples=150)
    @given(data=st.data())
    def test_comes_back(self, data: st.DataObject) -> None:
        top = data.draw(st.sampled_from([1, 2, 3, 16, 1000, 2**15]))
        count = data.draw(st.sampled_from([1, 2, 9, 123, BLOCK, BLOCK + 1, 3 * BLOCK + 77]))
        often, size = data.draw(st.sampled_from([0, 0.001, 0.1, 0.5, 0.9, 1])), data.draw(st.floats(0, 1))
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        magnitudes = 1 + np.floor(top**size * rng.random(count) ** data.draw(st.sampled_from([0.01, 1, 30])))
        values = np.where(rng.random(count) < often, np.minimum(magnitudes, top), 0) * rng.choice([-1, 1], count)
        code = pack(values.astype(np.int64), top)
        assert len(code) <= max_nbytes(count, top)
        np.testing.assert_array_equal(unpack(code, count, top), values)

    @pytest.mark.parametrize("top", [1, 2, 5, 2**15])
    def test_the_worst_input_fits(self, top: int) -> None:
        for count in (1, 2, 5, 8, BLOCK, 2 * BLOCK + 1):
            rng = np.random.default_rng(count)
            for low in (0, 1, top):
                values = rng.integers(low, top + 1, count) * rng.choice([-1, 1], count)
                code = pack(values, top)
                assert len(code) <= max_nbytes(count, top)
                np.testing.assert_array_equal(unpack(code, count, top), values)

    def test_a_segment_may_be_full_beside_an_empty_one(self) -> None:
        values = np.zeros(3 * BLOCK, np.int64)
        values[BLOCK : 2 * BLOCK] = -2
        np.testing.assert_array_equal(unpack(pack(values, 2), values.size, 2), values)

    @pytest.mark.parametrize("top", [1, 3, 16])
    @settings(max_examples=150)
    @given(data=st.data())
    def test_flipped_bits_give_integers_in_range_or_malformed(self, top: int, data: st.DataObject) -> None:
        count = data.draw(st.sampled_from([9, 123, BLOCK + 40]))
        rng = np.random.default_rng(data.draw(st.integers(0, 100)))
        values = rng.integers(-top, top + 1, count) * (rng.random(count) < data.draw(st.sampled_from([0.02, 0.4, 1])))
        code = bytearray(pack(values, top))
        for _ in range(data.draw(st.integers(1, 4))):  # most often in the head
            at = data.draw(st.one_of(st.integers(0, 63), st.integers(0, 8 * len(code) - 1))) % (8 * len(code))
            code[at // 8] ^= 128 >> at % 8
        try:
            decoded = unpack(bytes(code), count, top)
        except Malformed:
            return
        assert np.abs(decoded).max(initial=0) <= top

    def test_what_is_no_code_is_refused(self) -> None:
        code = pack(np.array([0, 1, 0, -1, 0]), 1)
        np.testing.assert_array_equal(unpack(code, 5, 1), [0, 1, 0, -1, 0])
        for bad in (b"", b"\0", code + b"\0", b"\xff" * 100, b"\xf0" + code[1:]):
            with pytest.raises(Malformed):
                unpack(bad, 5, 1)
        with pytest.raises(Malformed, match="beyond"):
            unpack(pack(np.array([0, 0, 0, 0, 1]), 1), 3, 1)
        with pytest.raises(Malformed, match="magnitude"):
            unpack(pack(np.array([0, 7, 0, 1, 0]), 7), 5, 5)

    def test_segments_longer_than_the_message_are_refused(self) -> None:
        w_and_length = [1] * 5 + [0] * 24 + [1] * 7
        code = np.packbits([0] * 5 + w_and_length + [1]).tobytes()
        with pytest.raises(Malformed, match="longer than the message"):
            unpack(code, 2 * BLOCK, 1)
