"""`min-max` and `min-sum`: the largest perturbation within what honest answers do to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.attacks._perturbed import Perturbed
from mpirobust.attacks.min_max import MinMax
from mpirobust.attacks.min_sum import MinSum
from mpirobust.testing.support.attack_rounds import Round, vectors

DIRECTIONS: tuple[Literal["unit", "std", "sign"], ...] = ("unit", "std", "sign")


def used(attack: Perturbed, v: NDArray[np.float64], honest: NDArray[np.float64]) -> float:
    """How much of what the kind allows `v` uses, 1 being all: the inequality of the paper, computed plainly."""
    squares = ((honest[:, None] - honest) ** 2).sum(axis=2)
    forged = ((honest - v) ** 2).sum(axis=1)
    if isinstance(attack, MinMax):
        return float(np.sqrt(forged.max() / squares.max()))
    return float(np.sqrt(forged.sum() / squares.sum(axis=1).max()))


@pytest.mark.parametrize("kind", [MinMax, MinSum])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("common", [0.0, 1e6])
def test_all_of_what_is_allowed_is_used_and_no_more(
    kind: type[Perturbed], direction: Literal["unit", "std", "sign"], common: float
) -> None:
    """Also where the answers have a large part in common, so that squares of lengths would cancel."""
    for seed in range(10):
        attack = kind(alpha=0.2, direction=direction)
        honest, sent = Round(attack, vectors(20, 9, seed) + common).attack()
        assert len(np.unique(sent, axis=0)) == 1
        assert used(attack, sent[0], honest) == pytest.approx(1, rel=1e-12 + 1e-15 * common)


@pytest.mark.parametrize(
    ("direction", "towards"),
    [
        ("unit", lambda x: -x.mean(axis=0) / np.linalg.norm(x.mean(axis=0))),
        ("std", lambda x: -x.std(axis=0)),
        ("sign", lambda x: -np.sign(x.mean(axis=0))),
    ],
)
def test_the_direction_is_the_papers(
    direction: Literal["unit", "std", "sign"], towards: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> None:
    honest, sent = Round(MinMax(alpha=0.2, direction=direction, gamma=0.7), vectors(20, 9)).attack()
    np.testing.assert_allclose(sent[0], honest.mean(axis=0) + 0.7 * towards(honest), rtol=1e-12)


@pytest.mark.parametrize(
    ("answers", "largest", "sums"),
    [
        ([1.0, 3.0], 1.0, 1.0),  # |γ + 1| <= 2; 2 γ² + 2 <= 4
        ([0.0, 0.0, 3.0], 1.0, 2.0),  # |γ + 2| <= 3; 3 γ² + 6 <= 18
        ([2.0, 2.0], 0.0, 0.0),
    ],
)
def test_gamma_by_hand(answers: list[float], largest: float, sums: float) -> None:
    for kind, gamma in ((MinMax, largest), (MinSum, sums)):
        game = Round(kind(alpha=0.34, direction="unit"), np.zeros((len(answers) + 1, 1)))
        values = np.zeros((len(answers) + 1, 1))
        values[game.honest, 0] = answers
        game = Round(kind(alpha=0.34, direction="unit"), values)
        game.forged()
        assert game.receiver.strength == pytest.approx(gamma, rel=1e-12, abs=1e-12)


def test_where_the_answers_agree_the_mean_is_sent() -> None:
    honest, sent = Round(MinMax(alpha=0.2), np.tile(vectors(1, 9), (10, 1))).attack()
    np.testing.assert_allclose(sent, honest[:2], rtol=1e-12)
