"""The contract of every compressor: sizes, norms, sums, the δ bound, and calm in front of hostile bytes."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf, log, log2
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpirobust.compressors._sparse import pack_positions, position_nbytes, unpack_positions
from mpirobust.compressors.base import BLOCK, Code, Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.sign import Sign
from mpirobust.compressors.topk import TopK
from mpirobust.errors import Malformed, PlanFault
from mpirobust.streams import Purpose, stream
from mpirobust.testing.examples import fitting
from mpirobust.testing.support.codes import drawn, length
from mpirobust.types import Message, Vector, flat

pytestmark = pytest.mark.usefixtures("as_in_a_run")

Case: TypeAlias = tuple[Compressor, int]


def has_delta(case: Case) -> bool:
    """Return whether a bound is promised for vectors of that length."""
    return case[0].delta(flat(case[1])) is not None


CASES = fitting("compressor", [1, 9, 1000])
BOUNDED = {name: case for name, case in fitting("compressor", [1, 2, 9, 123, 1000]).items() if has_delta(case)}
HOSTILE = fitting("compressor", [1, 7, 123])
LONG = fitting("compressor", [2 * BLOCK, 2 * BLOCK + 1003])
ORDERS = [1.0, 1.5, 2.0, 3.0, inf]
FLOAT32 = 2.0**-23  # twice the rounding of a float32


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def code_at(compressor: Compressor, dim: int, round: int = 0) -> Code:
    """One end's code for one message: a new stream each time, as the two ends have."""
    return drawn(compressor, dim, stream(1, 0, round, Purpose.SHARED))


def encode(compressor: Compressor, v: Vector, round: int = 0) -> bytes:
    return code_at(compressor, v.size, round).encode(v, stream(1, 0, round, Purpose.ENCODE))


def decode(compressor: Compressor, message: Message, dim: int, round: int = 0) -> Vector:
    return code_at(compressor, dim, round).decode(message)


def vectors(dim: int) -> dict[str, Vector]:
    """Inputs of different shape, among them the worst for sparsifiers (all equal) and for signs (a single entry)."""
    rng = np.random.default_rng(dim)
    single = np.zeros(dim)
    single[dim // 2] = -3.0
    return {
        "gaussian": rng.standard_normal(dim),
        "equal": np.where(rng.random(dim) < 0.5, -1.0, 1.0),
        "single": single,
        "heavy": rng.standard_t(1, dim),
        "small": 1e-20 * rng.standard_normal(dim),
        "large": 1e20 * rng.standard_normal(dim),
    }


def test_decodes_to_a_finite_vector_and_leaves_its_input_alone(case: Case) -> None:
    compressor, dim = case
    for name, v in vectors(dim).items():
        before = v.copy()
        v.flags.writeable = False
        decoded = decode(compressor, encode(compressor, v), dim)
        np.testing.assert_array_equal(v, before, err_msg=name)
        assert (decoded.shape, decoded.dtype) == ((dim,), np.dtype(np.float64)), name
        assert np.isfinite(decoded).all(), name


def test_takes_every_kind_of_buffer(case: Case) -> None:
    compressor, dim = case
    message = encode(compressor, vectors(dim)["gaussian"])
    expected = decode(compressor, message, dim)
    led = memoryview(b"\0\0\0" + message)[3:]  # not aligned
    buffers: list[Message] = [bytearray(message), memoryview(message), led]
    for buffer in buffers:
        np.testing.assert_array_equal(decode(compressor, buffer, dim), expected)


def test_message_is_as_long_as_promised(case: Case) -> None:
    compressor, dim = case
    for v in [*vectors(dim).values(), np.zeros(dim)]:
        for round in range(5):
            nbytes = len(encode(compressor, v, round))
            assert nbytes <= compressor.max_nbytes(flat(dim))
            assert nbytes == compressor.max_nbytes(flat(dim)) or not compressor.fixed_length()


def test_norm_is_that_of_the_decoded_vector(case: Case) -> None:
    compressor, dim = case
    for name, v in vectors(dim).items():
        message = encode(compressor, v)
        for q in ORDERS:
            expected = length(decode(compressor, message, dim), q)
            norm = code_at(compressor, dim).norm(message, q)
            np.testing.assert_allclose(norm, expected, rtol=1e-12, err_msg=f"{name}, q = {q}")


def test_adds_the_weighted_sum_of_what_it_decodes(case: Case) -> None:
    compressor, dim = case
    rng = np.random.default_rng(5)
    weights = np.array([0.25, 0.0, -3.0, 1e-3, 7.0])
    code = code_at(compressor, dim)
    messages = [code.encode(rng.standard_normal(dim), stream(1, worker, 0, Purpose.ENCODE)) for worker in range(5)]
    before = rng.standard_normal(dim)
    out = before.copy()
    code.add_to(out, weights, messages)
    expected = before + sum(w * code.decode(message) for w, message in zip(weights, messages, strict=True))
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(weights, [0.25, 0.0, -3.0, 1e-3, 7.0])


@pytest.mark.parametrize("name", LONG)
def test_fills_any_block_of_what_it_decodes(name: str) -> None:
    compressor, dim = LONG[name]
    code, rng = code_at(compressor, dim), np.random.default_rng(3)
    inputs = [rng.standard_normal(dim), rng.standard_t(1, dim), np.where(np.arange(dim) < dim - 500, 0.0, 1.0)]
    messages = [code.encode(v, stream(1, 0, round, Purpose.ENCODE)) for round, v in enumerate(inputs)]
    decoded = np.array([code.decode(message) for message in messages])
    for start in reversed(range(0, dim, BLOCK)):
        whole = min(BLOCK, dim - start)
        for width in (whole, 1, whole // 2 + 1):
            block = np.full((3, width), np.nan)
            code.fill(block, messages, start)
            np.testing.assert_array_equal(block, decoded[:, start : start + width])
    for message, v in zip(messages, decoded, strict=True):
        assert len(message) <= compressor.max_nbytes(flat(dim))
        for q in ORDERS:
            np.testing.assert_allclose(code.norm(message, q), length(v, q), rtol=1e-12)


@pytest.mark.parametrize("name", BOUNDED)
def test_error_is_within_delta(name: str) -> None:
    """`E||Q(v) - v||² <= (1 - δ)||v||²`, the mean of the draws within an empirical Bernstein bound (p = 1e-6)."""
    compressor, dim = BOUNDED[name]
    delta = compressor.delta(flat(dim))
    assert delta is not None
    assert 0 < delta <= 1
    draws = is_drawn(compressor, dim)
    for shape in ("gaussian", "equal", "single", "heavy"):
        v = vectors(dim)[shape]
        errors = []
        for round in range(500 if draws else 1):
            difference = decode(compressor, encode(compressor, v, round), dim, round) - v
            errors.append((difference @ difference) / (v @ v))
        n, odds = len(errors), log(2e6)
        noise = (2 * float(np.var(errors)) * odds / n) ** 0.5 + 7 * odds / (3 * (n - 1)) if draws else 0.0
        assert np.mean(errors) <= 1 - delta + noise + 1e-12, shape


def is_drawn(compressor: Compressor, dim: int) -> bool:
    """Return whether the code of a vector depends on the streams."""
    v = vectors(dim)["gaussian"]
    codes = [decode(compressor, encode(compressor, v, round), dim, round) for round in range(20)]
    return any(not np.array_equal(codes[0], code) for code in codes)


def test_zero_stays_zero(case: Case) -> None:
    compressor, dim = case
    message = encode(compressor, np.zeros(dim))
    zero = 1.0 if isinstance(compressor, Sign) else 0.0  # one bit a coordinate and no scale: there is no word for zero
    np.testing.assert_array_equal(np.abs(decode(compressor, message, dim)), zero)
    assert all(code_at(compressor, dim).norm(message, q) == zero * dim ** (1 / q) for q in ORDERS)


def test_equal_streams_give_equal_bytes(case: Case) -> None:
    compressor, dim = case
    v = vectors(dim)["gaussian"]
    assert encode(compressor, v, 3) == encode(compressor, v, 3)


def test_what_is_not_finite_is_not_decoded_as_such(case: Case) -> None:
    """A run that diverges encodes such vectors: the message is of the right length, unsound or finite."""
    compressor, dim = case
    for bad in (np.nan, np.inf, -np.inf, 1e300):
        v = vectors(dim)["gaussian"]
        v[dim // 2] = bad
        message = encode(compressor, v)
        assert len(message) <= compressor.max_nbytes(flat(dim))
        finite_or_malformed(code_at(compressor, dim), message)


def finite_or_malformed(code: Code, message: Message) -> None:
    """The gate: `decode` and `norm` know no third way, and agree; `norms` finds for many what `norm` does for each."""
    try:
        decoded = code.decode(message)
    except Malformed:
        decoded = None
    if decoded is not None:
        assert decoded.shape == (code.dim,)
        assert np.isfinite(decoded).all()
    for q in ORDERS:
        try:
            norm = code.norm(message, q)
        except Malformed:
            assert decoded is None
            np.testing.assert_array_equal(code.norms([message, message], q), np.inf)
            continue
        np.testing.assert_array_equal(code.norms([message, message], q), norm)
        assert norm >= 0 or np.isnan(norm)
        if decoded is not None:
            np.testing.assert_allclose(norm, length(decoded, q), rtol=1e-12, atol=1e-150)


@pytest.mark.parametrize("name", HOSTILE)
@settings(max_examples=30)
@given(message=st.binary(max_size=1200))
def test_random_bytes(name: str, message: bytes) -> None:
    compressor, dim = HOSTILE[name]
    finite_or_malformed(code_at(compressor, dim), message)


@pytest.mark.parametrize("name", HOSTILE)
@settings(max_examples=40)
@given(data=st.data())
def test_random_bytes_of_the_right_length(name: str, data: st.DataObject) -> None:
    compressor, dim = HOSTILE[name]
    nbytes = compressor.max_nbytes(flat(dim))
    finite_or_malformed(code_at(compressor, dim), data.draw(st.binary(min_size=nbytes, max_size=nbytes)))


_PATTERNS = [
    np.array(number, dtype).tobytes()
    for dtype in ("<f4", "<f8")
    for number in (np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, np.finfo(dtype).max, np.finfo(dtype).tiny / 8)
] + [b"\x01\x00\x80\x7f", b"\x01\x00\x00\x00\x00\x00\xf0\x7f"]  # signalling NaNs


def mutated(message: bytes, data: st.DataObject) -> bytes:
    """An honest message with a few bytes flipped, cut off, added, or replaced by a strange number."""
    body = bytearray(message)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        change = data.draw(st.sampled_from(["flip", "truncate", "extend", "number"]))
        if change == "flip" and body:
            body[at] ^= data.draw(st.integers(1, 255))
        elif change == "truncate":
            del body[at:]
        elif change == "extend":
            body += data.draw(st.binary(min_size=1, max_size=9))
        elif change == "number":
            pattern = data.draw(st.sampled_from(_PATTERNS))
            at -= at % 4 * data.draw(st.integers(0, 1))
            body[at : at + len(pattern)] = pattern[: len(body) - at]
    return bytes(body)


@pytest.mark.parametrize("name", HOSTILE)
@settings(max_examples=60)
@given(data=st.data())
def test_mutations_of_an_honest_message(name: str, data: st.DataObject) -> None:
    compressor, dim = HOSTILE[name]
    honest = encode(compressor, vectors(dim)[data.draw(st.sampled_from(["gaussian", "equal", "single"]))])
    finite_or_malformed(code_at(compressor, dim), mutated(honest, data))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_other_length_is_malformed_where_the_length_is_fixed(name: str) -> None:
    compressor, dim = HOSTILE[name]
    honest = encode(compressor, vectors(dim)["gaussian"])
    others = [b"", honest[:-1], honest + b"\0", honest * 2]
    for message in others if compressor.fixed_length() else []:
        for q in ORDERS:
            with pytest.raises(Malformed):
                code_at(compressor, dim).norm(message, q)


class TestIdentity:
    def test_float64_is_exact(self) -> None:
        v = vectors(9)["heavy"]
        np.testing.assert_array_equal(decode(Identity(), encode(Identity(), v), 9), v)
        assert Identity().delta(flat(9)) == 1

    def test_delta_of_float32_is_the_worst_rounding(self) -> None:
        halfway = np.full(9, 1 + 2.0**-24)
        code = Identity(dtype="float32")
        error = decode(code, encode(code, halfway), 9) - halfway
        assert 0 < (error @ error) / (halfway @ halfway) <= 1 - (code.delta(flat(9)) or 0)


class TestL1QSGD:
    @pytest.mark.parametrize("dim", [1, 7, 8, 9, 123, 1000, 795_010])
    def test_is_one_bit_per_coordinate(self, dim: int) -> None:
        message = encode(L1QSGD(), np.random.default_rng(0).standard_normal(dim))
        assert len(message) <= dim / 8 + 16

    def test_is_the_sign_times_the_mean_magnitude(self) -> None:
        v = np.array([3.0, -1.0, 0.5, -0.5, 0.0])
        code = L1QSGD(zeros="plus")
        np.testing.assert_allclose(decode(code, encode(code, v), 5), [1, -1, 1, -1, 1], rtol=FLOAT32)

    def test_sums_across_the_blocks_of_many_long_messages(self) -> None:
        dim, rng = 40_005, np.random.default_rng(0)
        messages = [encode(L1QSGD(), rng.standard_normal(dim)) for _ in range(120)]
        out, weights = np.zeros(dim), rng.standard_normal(120)
        drawn(L1QSGD(), dim).add_to(out, weights, messages)
        bits = [np.unpackbits(np.frombuffer(message, np.uint8, offset=4), count=dim) for message in messages]
        scales = [float(np.frombuffer(message, "<f4", 1)[0]) for message in messages]
        expected = sum(w * s * (2.0 * b - 1) for w, s, b in zip(weights, scales, bits, strict=True))
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)

    def test_refuses_a_negative_scale(self) -> None:
        message = bytearray(encode(L1QSGD(), np.ones(9)))
        message[:4] = np.array(-1.0, "<f4").tobytes()
        with pytest.raises(Malformed, match="negative"):
            drawn(L1QSGD(), 9).norm(message, 2.0)


class TestTopK:
    @pytest.mark.parametrize("dim", [1, 2, 3, 8, 9, 123, 1000, 1024, 1025])
    def test_keeps_the_largest_and_drops_the_rest(self, dim: int) -> None:
        v = np.random.default_rng(dim).standard_normal(dim)
        for k in {1, (dim + 1) // 2, dim}:
            decoded = decode(TopK(k=k), encode(TopK(k=k), v), dim)
            largest = np.argsort(-np.abs(v))[:k]
            expected = np.zeros(dim)
            expected[largest] = v[largest]
            np.testing.assert_allclose(decoded, expected, rtol=FLOAT32)
            assert np.count_nonzero(decoded) == k

    @pytest.mark.parametrize("dim", [1, 2, 3, 8, 9, 123, 1000, 1024, 1025, 2**20])
    def test_positions_take_no_more_bits_than_they_need(self, dim: int) -> None:
        for k in {1, min(dim, 7), min(dim, 8), min(dim, 100), dim // 2 + 1}:
            assert TopK(k=k).max_nbytes(flat(dim)) - 4 * k <= ceil(k * log2(dim) / 8)
            positions = np.sort(np.random.default_rng(k).choice(dim, k, replace=False))
            packed = pack_positions(positions, dim)
            assert len(packed) == position_nbytes(dim, k) <= ceil(k * log2(dim) / 8)
            np.testing.assert_array_equal(unpack_positions(packed, dim, k), positions)
            if k > 8:
                assert len(packed) <= k * (log2(dim / k) + 2.1) / 8 + 1

    @pytest.mark.parametrize("positions", [[3, 3], [4, 3], [0, 9], [9, 9], [0, 1, 2, 3, 3, 4, 5, 6]])
    def test_refuses_positions_twice_or_out_of_order_or_beyond_the_end(self, positions: list[int]) -> None:
        k = len(positions)
        message = pack_positions(np.array(positions), 9) + np.ones(k, "<f4").tobytes()
        with pytest.raises(Malformed, match=r"ascending|twice"):
            drawn(TopK(k=k), 9).norm(message, 2.0)

    def test_refuses_a_position_just_beyond_the_end(self) -> None:
        """With 20 of 123 positions there are codes of 123; with two of 9 there are bytes above all codes."""
        message = pack_positions(np.append(np.arange(19), 123), 123) + np.ones(20, "<f4").tobytes()
        for code, dim, sent in [(TopK(k=20), 123, message), (TopK(k=2), 9, bytes([81 + 5]) + bytes(8))]:
            with pytest.raises(Malformed, match="ascending below the dimension"):
                drawn(code, dim).norm(sent, 2.0)

    @pytest.mark.parametrize("bits", [[0] * 16, [1] * 16, [0] * 8 + [1] * 8])
    def test_refuses_another_number_of_positions(self, bits: list[int]) -> None:
        assert position_nbytes(9, 8) == 2  # eight ones and eight steps
        message = np.packbits(bits).tobytes() + np.ones(8, "<f4").tobytes()
        if sum(bits) == 8:
            message = b"\0\xff" + message[2:]
        with pytest.raises(Malformed):
            drawn(TopK(k=8), 9).norm(message, 2.0)


class TestRandomK:
    def test_sends_values_only(self) -> None:
        assert RandomK(k=5).max_nbytes(flat(1000)) == 5 * 4

    def test_error_on_equal_entries_is_exactly_what_delta_says(self) -> None:
        decoded = decode(RandomK(k=3), encode(RandomK(k=3), np.ones(8)), 8)
        assert float(((decoded - 1) ** 2).sum() / 8) == 1 - (RandomK(k=3).delta(flat(8)) or 0)

    def test_draws_every_entry_equally_often(self) -> None:
        dim, k, rounds = 9, 3, 3000
        seen = sum(decode(RandomK(k=k), encode(RandomK(k=k), np.ones(dim), t), dim, t) for t in range(rounds))
        expected, deviation = rounds * k / dim, (rounds * k / dim * (1 - k / dim)) ** 0.5
        np.testing.assert_allclose(seen, expected, atol=5 * deviation)


@pytest.mark.parametrize("sparsifier", [TopK, RandomK])
def test_a_sparsifier_refuses_more_entries_than_there_are(sparsifier: Callable[..., Compressor]) -> None:
    sparsifier(k=9).admit(flat(9))
    with pytest.raises(PlanFault, match="10 is more than the dimension 9; choose 1 to 9") as caught:
        sparsifier(k=10).admit(flat(9))
    assert caught.value.where == "k"
