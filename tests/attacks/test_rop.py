from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.centered_clipping import CenteredClipping
from mpirobust.aggregators.mean import Mean
from mpirobust.attacks.rop import Aggregated, Rop
from mpirobust.testing.support.attack_rounds import Round, parallel, vectors
from mpirobust.testing.support.judging import judged

LAST = vectors(1, 9, seed=7)[0]


def game(**fields: Any) -> Round:
    made = Round(Rop(alpha=0.2, **fields), vectors(20, 9))
    made.attack_memory = Aggregated(LAST)
    return made


@pytest.mark.parametrize("angle", [0.0, 60.0, 90.0, 135.0, 180.0])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("reference", [0.0, 0.9])
def test_the_perturbation_has_its_place_its_angle_and_its_length(angle: float, place: float, reference: float) -> None:
    honest, sent = game(angle=angle, place=place, reference=reference, z=1.5).attack()
    mean = honest.mean(axis=0)
    turned = sent[0] - (place * LAST + (1 - place) * mean)
    spread = np.sqrt(((honest - mean) ** 2).sum(axis=1).mean())
    np.testing.assert_allclose(np.linalg.norm(turned), 1.5 * spread, rtol=1e-12)
    cosine = parallel(turned, reference * LAST + (1 - reference) * mean)
    np.testing.assert_allclose(cosine, np.cos(np.radians(angle)), atol=1e-12)


def test_it_is_remembered_what_the_rule_made_of_the_round() -> None:
    one = game()
    sent = one.forged()
    np.testing.assert_allclose(one.receiver.attack_memory.aggregate, judged(Mean(), one.inbox(sent)).step, rtol=1e-12)


def test_clipping_around_the_last_aggregate_takes_it_whole() -> None:
    """What the paper breaks: at the length of the radius it is not shortened."""
    one = game(z=1.0, reference=1.0)
    honest, sent = one.attack()
    turned = sent[0] - LAST
    radius = float(np.linalg.norm(turned))
    rule = CenteredClipping(radius=radius, iterations=1, start="previous")
    memory = rule.memory()
    assert memory is not None
    step = judged(rule, one.inbox(one.forged()), memory(LAST)).step
    away = honest - LAST
    clipped = away * np.minimum(1, radius / np.linalg.norm(away, axis=1))[:, None]
    expected = LAST + (clipped.sum(axis=0) + 4 * turned) / 20
    np.testing.assert_allclose(step, expected, rtol=1e-9)
