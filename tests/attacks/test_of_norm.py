"""`Spy.of_norm`: the message that the rule measures as it is asked to, whatever the code does to norms."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import component
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.sign import Sign
from mpirobust.testing.examples import fitting
from mpirobust.testing.support.attack_rounds import Round, parallel, vectors
from mpirobust.types import Norm

CODES = fitting("compressor", [9])
NORMS = [Norm(1.0), Norm(2.0), Norm(np.inf), Norm(2.0, claimed=True)]


@component
class Measured(MessageAttack):
    """Sends minus the honest mean at a fraction of the longest honest message."""

    fraction: float

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return spy.of_norm(self.fraction * spy.answers.norms[spy.honest].max(), worker, -spy.moments[0], rng)


@pytest.mark.parametrize("norm", NORMS, ids=str)
@pytest.mark.parametrize("compressor", [compressor for compressor, _ in CODES.values()], ids=list(CODES))
def test_it_is_measured_as_asked_or_a_trifle_less(compressor: Compressor, norm: Norm) -> None:
    for fraction in (0.01, 0.9, 1.0, 30.0):
        for answers in (vectors(20, 9), 1e-8 * vectors(20, 9), 1e8 * vectors(20, 9)):
            game = Round(Measured(alpha=0.2, fraction=fraction), answers, compressor, norm)
            norms = game.inbox(game.forged()).norms
            wanted, sent = fraction * norms[game.honest].max(), norms[game.config.byzantine]
            if np.ptp(norms) == 0:  # no scale is sent: every message is as long as every other
                assert sent[0] > 0
                continue
            assert (sent <= wanted).all()
            np.testing.assert_allclose(sent, wanted, rtol=0.002)


def test_codes_without_a_scale_are_few() -> None:
    """So that the test above has something to say of the rest."""
    silent = set()
    for compressor, _ in CODES.values():
        game = Round(Measured(alpha=0.2, fraction=0.5), vectors(20, 9), compressor)
        if np.ptp(game.inbox(game.forged()).norms) == 0:
            silent.add(type(compressor))
    assert silent == {Sign}


def test_the_direction_is_kept() -> None:
    honest, sent = Round(Measured(alpha=0.2, fraction=0.3), vectors(20, 9)).attack()
    for v in sent:
        np.testing.assert_allclose(parallel(v, -honest.mean(axis=0)), 1, rtol=1e-9)


def test_what_has_no_direction_is_nothing() -> None:
    game = Round(Measured(alpha=0.2, fraction=0.5), np.zeros((20, 9)))
    assert not game.inbox(game.forged()).norms[game.config.byzantine].any()
