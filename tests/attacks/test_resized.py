from __future__ import annotations

import numpy as np
import pytest

from mpirobust.attacks.resized import Resized

MESSAGE = b"abcdefgh"


@pytest.mark.parametrize(
    ("factor", "sent"), [(0.0, b""), (0.5, b"abcd"), (0.99, b"abcdefg"), (1.0, MESSAGE), (1.5, b"abcdefghabcd")]
)
def test_cut_or_repeated(factor: float, sent: bytes) -> None:
    assert Resized(alpha=0.1, factor=factor).tamper(MESSAGE, np.random.default_rng(0)) == sent


def test_twice_as_long_unless_said_otherwise() -> None:
    assert Resized(alpha=0.1).tamper(MESSAGE, np.random.default_rng(0)) == 2 * MESSAGE
