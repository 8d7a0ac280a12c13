"""The compiled loops of codes against their twins: the same bytes, the same numbers, and the same reasons to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import TypeAlias, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.errors import Malformed
from mpirobust.kernels import twins
from tests.fuzz.mutations import mutated

pytestmark = pytest.mark.usefixtures("loops")

_BLOCK = 512
_REASONS = {
    "shorter than its head says",
    "a layer has no such code",
    "the segments are longer than the message",
    "no number of runs gives the length of a layer",
    "a run ends beyond the last integer",
    "a tail of another length",
    "a magnitude is out of its range",
}

T = TypeVar("T")
Outcome: TypeAlias = str | tuple[bytes, bytes]


def _integers(top: int, rng: np.random.Generator) -> Iterator[NDArray[np.int32]]:
    for count in [1, 2, 9, 123, _BLOCK, _BLOCK + 1, 3 * _BLOCK + 77]:
        for often in [0.0, 0.01, 0.3, 0.8, 1.0]:
            magnitudes = 1 + np.floor(top ** rng.random() * rng.random(count) ** rng.choice([0.01, 1, 30]))
            there = rng.random(count) < often
            yield (np.where(there, np.minimum(magnitudes, top), 0) * rng.choice([-1, 1], count)).astype(np.int32)


def _read(code: bytes, count: int, top: int, start: int = 0) -> Outcome:
    places, values = np.full(count - start, -1, np.int64), np.zeros(count - start, np.int32)
    try:
        n = kernels.unpack_integers(np.frombuffer(code, np.uint8), count, top, _BLOCK, start, places, values)
    except Malformed as refused:
        return str(refused)
    return places[:n].tobytes(), values[:n].tobytes()


def _numbers(code: NDArray[np.uint8], count: int, limit: int, low: int) -> str | bytes:
    try:
        return kernels.unpack_ascending(code, count, limit, low).tobytes()
    except Malformed as refused:
        return str(refused)


def _with_twins(read: Callable[..., T], *code: object) -> T:
    used = kernels.in_use()
    kernels.use(kernels.NUMPY)
    try:
        return read(*code)
    finally:
        kernels.use(used)


@pytest.mark.parametrize("top", [1, 2, 3, 16, 1000, 2**15])
def test_integers_come_back_from_the_bytes_of_the_twin(top: int) -> None:
    for integers in _integers(top, np.random.default_rng(top)):
        code = kernels.pack_integers(integers, top, _BLOCK)
        assert code == twins.pack_integers(integers, top, _BLOCK)
        for start in range(0, integers.size, _BLOCK):
            places = np.flatnonzero(integers[start:])
            assert _read(code, integers.size, top, start) == (places.tobytes(), integers[start:][places].tobytes())


def test_a_hostile_code_is_refused_for_the_reason_of_the_twin() -> None:
    rng, reasons = Random(3), set()
    for top in [1, 2, 5]:
        for integers in _integers(top, np.random.default_rng(top)):
            honest = kernels.pack_integers(integers, top, _BLOCK)
            for _ in range(14):
                code = mutated(honest, rng)
                if not code or not code[-1]:
                    continue
                count = integers.size - rng.randrange(min(integers.size, 3))
                found = _read(code, count, top)
                assert found == _with_twins(_read, code, count, top)
                reasons |= {found} if isinstance(found, str) else set()
    assert reasons == _REASONS


def _ascending(limit: int, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Numbers and how many low bits: none twice, all alike, at the ends."""
    for count in [1, 8, min(limit, 300)]:
        for low in [0, 3, max(limit // count, 1).bit_length() - 1]:
            yield np.sort(rng.choice(limit, count, replace=False)), low
            yield np.full(count, limit - 1), low
            yield np.minimum(np.arange(count), limit - 1), low


@pytest.mark.parametrize("limit", [8, 123, 70_001])
def test_ascending_numbers_come_back_from_the_bytes_of_the_twin(limit: int) -> None:
    for numbers, low in _ascending(limit, np.random.default_rng(limit)):
        code = kernels.pack_ascending(numbers, limit, low)
        assert code == twins.pack_ascending(numbers, limit, low)
        packed = np.frombuffer(code, np.uint8)
        np.testing.assert_array_equal(kernels.unpack_ascending(packed, numbers.size, limit, low), numbers)
        for start in {0, 1, limit // 3, limit - 1, int(numbers[0]), int(numbers[-1])} if np.diff(numbers).all() else ():
            for stop in {start + 1, min(start + 64, limit), limit} - {start}:
                below, found = kernels.unpack_within(packed, numbers.size, limit, low, start, stop)
                assert below == (numbers < start).sum()
                np.testing.assert_array_equal(found, numbers[(numbers >= start) & (numbers < stop)])


def test_hostile_numbers_are_refused_for_the_reason_of_the_twin() -> None:
    rng, reasons = Random(5), set()
    for limit in [8, 123, 70_001]:
        for numbers, low in _ascending(limit, np.random.default_rng(limit)):
            honest = kernels.pack_ascending(numbers, limit, low)
            for _ in range(30):
                code = np.frombuffer(mutated(honest, rng).ljust(len(honest), b"\0")[: len(honest)], np.uint8)
                found = _numbers(code, numbers.size, limit, low)
                assert found == _with_twins(_numbers, code, numbers.size, limit, low)
                with suppress(ValueError):  # no harm, whatever was sent
                    kernels.unpack_within(code, numbers.size, limit, low, limit // 2, limit)
                reasons |= {found} if isinstance(found, str) else set()
    assert reasons == {"not as many positions as expected", "positions are not ascending below the dimension"}


@pytest.mark.parametrize(
    ("bits", "limit"), [([0, 1, 1, 0, 1, 0, 0], 8), ([1, 0, 1, 0, 0, 1, 1], 7)], ids=["5, 4", "0, 7"]
)
def test_numbers_out_of_order_or_beyond_the_limit_are_refused(bits: list[int], limit: int) -> None:
    found = _numbers(np.packbits(bits), 2, limit, 2)
    assert found == "positions are not ascending below the dimension"


@pytest.mark.parametrize("dim", [1, 4, 5, 9, 513, 8192, 8200, 20_001])
def test_trits(dim: int) -> None:
    rng, block = np.random.default_rng(dim), 512
    for n in [1, 3, 20]:
        rows = [rng.integers(3**5, size=dim // block * 103 + (dim % block + 4) // 5, dtype=np.uint8) for _ in range(n)]
        scales, weights = rng.random(n) * [0, 1, 1e30][n % 3], rng.standard_normal(n)
        decoded = np.zeros((n, dim))
        for row, vector in zip(rows, decoded, strict=True):
            digits = row[:, None] // 3 ** np.arange(5) % 3 - 1.0
            for start in range(0, dim, block):
                here = vector[start : start + block]
                kernels.trits(row[start // block * 103 :], 1.0, here)
                np.testing.assert_array_equal(here, digits[start // block * 103 :].ravel()[: here.size])
        out, expected = np.zeros(dim), np.zeros(dim)
        kernels.add_trits(rows, block, scales, weights, out)
        for vector, scale, weight in zip(decoded, scales, weights, strict=True):
            expected += weight * (scale * vector)
        assert out.tobytes() == expected.tobytes()


def test_terms_are_added_at_their_places() -> None:
    rng = np.random.default_rng(0)
    out, places = rng.standard_normal(1000), np.sort(rng.choice(1000, 300, replace=False))
    terms = rng.standard_normal(300)
    expected = out.copy()
    expected[places] += terms
    kernels.add_at(places, terms, out)
    np.testing.assert_array_equal(out, expected)


def test_what_would_be_read_or_written_beyond_the_end_is_refused(loops: str) -> None:
    """Only the compiled loops need it: NumPy refuses by itself."""
    if loops == kernels.NUMPY:
        return
    code, room, values = np.ones(3, np.uint8), np.zeros(9, np.int64), np.zeros(9, np.int32)
    for start, count in [(1, 900), (0, 8), (0, 10), (0, 900), (512, 522), (1024, 9)]:
        with pytest.raises(ValueError, match="no such"):
            kernels.unpack_integers(code, count, 1, _BLOCK, start, room, values)
    with pytest.raises(ValueError, match="without an end"):
        kernels.unpack_integers(np.zeros(3, np.uint8), 9, 1, _BLOCK, 0, room, values)
    with pytest.raises(ValueError, match="a row is too short"):
        kernels.trits(code, 1.0, np.zeros(16))
    with pytest.raises(ValueError, match="a row is too short"):
        kernels.add_trits([code], 8, np.ones(1), np.ones(1), np.zeros(17))
    for numbers in ([3, 2], [-1, 2], [0, 10]):
        with pytest.raises(ValueError, match="not ascending"):
            kernels.pack_ascending(np.array(numbers), 9, 1)
    with pytest.raises(ValueError, match="another length"):
        kernels.unpack_ascending(code, 9, 9, 3)
    with pytest.raises(ValueError, match="another length"):
        kernels.unpack_within(code, 9, 9, 3, 0, 9)
    for place in [-1, 9]:
        with pytest.raises(ValueError, match="a place is none of out"):
            kernels.add_at(np.array([place]), np.ones(1), np.zeros(9))
