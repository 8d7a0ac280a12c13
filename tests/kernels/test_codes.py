"""The compiled loops of codes against their twins: the same bytes, the same numbers, and the same reasons to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypeAlias

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


def _with_twins(code: bytes, count: int, top: int) -> Outcome:
    used = kernels.in_use()
    kernels.use(kernels.NUMPY)
    try:
        return _read(code, count, top)
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
    for top in [1, 2, 5, 1000]:
        for integers in _integers(top, np.random.default_rng(top)):
            honest = kernels.pack_integers(integers, top, _BLOCK)
            for _ in range(30):
                code = mutated(honest, rng)
                if not code or not code[-1]:
                    continue
                count = integers.size - rng.randrange(min(integers.size, 3))
                found = _read(code, count, top)
                assert found == _with_twins(code, count, top)
                reasons |= {found} if isinstance(found, str) else set()
    assert reasons == _REASONS


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
    for start, count in [(1, 900), (0, 8), (1024, 9)]:
        with pytest.raises(ValueError, match="no such"):
            kernels.unpack_integers(code, count, 1, _BLOCK, start, room, values)
    with pytest.raises(ValueError, match="without an end"):
        kernels.unpack_integers(np.zeros(3, np.uint8), 9, 1, _BLOCK, 0, room, values)
    for place in [-1, 9]:
        with pytest.raises(ValueError, match="a place is none of out"):
            kernels.add_at(np.array([place]), np.ones(1), np.zeros(9))
