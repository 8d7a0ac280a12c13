from __future__ import annotations

import numpy as np
import pytest

from mpirobust.compressors.sign import Sign
from mpirobust.testing.support.codes import drawn
from mpirobust.types import flat
from tests.support.statistics import message_of


def test_is_the_sign_and_nothing_else() -> None:
    v = np.array([3.0, -1e-30, 0.5, -7.0, 0.0, -0.5, 1.0, 2.0, -4.0])
    message = message_of(Sign(), v)
    assert message == bytes([0b10101011, 0b00000000])
    np.testing.assert_array_equal(drawn(Sign(), 9).decode(message), [1, -1, 1, -1, 1, -1, 1, 1, -1])
    assert message_of(Sign(), 1e9 * v) == message


@pytest.mark.parametrize("dim", [1, 8, 9, 795_010])
def test_is_one_bit_per_coordinate(dim: int) -> None:
    assert len(message_of(Sign(), np.ones(dim))) == -(-dim // 8)


def test_promises_no_delta() -> None:
    assert Sign().delta(flat(1)) is None
