from __future__ import annotations

import numpy as np
import pytest

from mpirobust.attacks.bitflip import Bitflip
from mpirobust.streams import Purpose, stream


def flipped(rate: float, message: bytes, round: int = 0) -> np.ndarray:
    """Which bits differ, as 0 and 1."""
    sent = Bitflip(alpha=0.1, rate=rate).tamper(message, stream(1, 3, round, Purpose.TAMPER))
    assert len(sent) == len(message)
    return np.unpackbits(np.frombuffer(sent, np.uint8) ^ np.frombuffer(message, np.uint8))


def test_none_and_all() -> None:
    message = np.random.default_rng(0).bytes(1000)
    assert not flipped(0.0, message).any()
    assert flipped(1.0, message).all()
    assert flipped(0.5, b"").size == 0


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 0.3, 0.9])
def test_as_many_as_the_rate_says(rate: float) -> None:
    """The numbers over many messages have mean and variance of a binomial law."""
    bits, rounds = 8 * 2000, 200
    counts = np.array([flipped(rate, bytes(2000), round).sum() for round in range(rounds)])
    variance = bits * rate * (1 - rate)
    np.testing.assert_allclose(counts.mean(), bits * rate, atol=5 * (variance / rounds) ** 0.5)
    np.testing.assert_allclose(counts.var(), variance, rtol=5 * ((2 + 1 / variance) / rounds) ** 0.5)


def test_every_bit_equally_often() -> None:
    rounds, rate = 3000, 0.2
    seen = np.sum([flipped(rate, bytes(5), round) for round in range(rounds)], axis=0)
    np.testing.assert_allclose(seen, rounds * rate, atol=5 * (rounds * rate * (1 - rate)) ** 0.5)
