from __future__ import annotations

import numpy as np

from mpirobust.attacks.blind_multiplicative import BlindMultiplicative
from mpirobust.streams import Purpose, stream
from mpirobust.types import Vector

N = 100_000


def factors(attack: BlindMultiplicative, answer: Vector) -> Vector:
    found: Vector = attack.corrupt(answer, stream(1, 3, 0, Purpose.CORRUPT)) / answer
    return found


def test_the_vector_does_not_depend_on_the_answer() -> None:
    attack = BlindMultiplicative(alpha=0.1, scale=10.0)
    one, other = np.random.default_rng(0).standard_normal((2, N))
    np.testing.assert_allclose(factors(attack, one), factors(attack, other), rtol=1e-12)


def test_signs_are_random_and_sizes_within_the_scale() -> None:
    found = factors(BlindMultiplicative(alpha=0.1, flip=0.3, scale=10.0), np.ones(N))
    np.testing.assert_allclose((found < 0).mean(), 0.3, atol=5 * 0.5 / N**0.5)
    sizes = np.log10(np.abs(found))
    assert np.abs(sizes).max() <= 1
    np.testing.assert_allclose(sizes.mean(), 0, atol=5 * 0.6 / N**0.5)
    np.testing.assert_allclose((np.abs(sizes) < 0.5).mean(), 0.5, atol=5 * 0.5 / N**0.5)


def test_by_default_only_signs_change_and_always_flipped_it_is_minus_the_answer() -> None:
    answer = np.random.default_rng(0).standard_normal(N)
    np.testing.assert_array_equal(np.abs(factors(BlindMultiplicative(alpha=0.1), answer)), 1)
    np.testing.assert_array_equal(factors(BlindMultiplicative(alpha=0.1, flip=1.0), answer), -1)
