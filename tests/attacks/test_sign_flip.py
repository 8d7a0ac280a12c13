from __future__ import annotations

import numpy as np

from mpirobust.attacks.sign_flip import SignFlip
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.testing.support.attack_rounds import vectors
from mpirobust.testing.support.codes import drawn

RNG = np.random.default_rng(0)


def test_turns_the_answer_round() -> None:
    answer = np.array([1.0, -2.0, 0.0])
    np.testing.assert_array_equal(SignFlip(alpha=0.1).corrupt(answer, RNG), [-1, 2, 0])
    np.testing.assert_array_equal(SignFlip(alpha=0.1, factor=4.0).corrupt(answer, RNG), [-4, 8, 0])


def test_flips_every_sign_and_keeps_the_scale() -> None:
    v = vectors(1, 16)[0]
    code = drawn(L1QSGD(), 16)
    due, sent = code.encode(v, RNG), code.encode(SignFlip(alpha=0.1).corrupt(v, RNG), RNG)
    assert sent == due[:4] + bytes(byte ^ 0xFF for byte in due[4:])
