from __future__ import annotations

import numpy as np

from mpirobust.attacks.ipm import Ipm
from mpirobust.testing.support.attack_rounds import Round, vectors


def test_all_send_minus_epsilon_times_the_honest_mean() -> None:
    honest, sent = Round(Ipm(alpha=0.2, epsilon=0.7), vectors(20, 9)).attack()
    np.testing.assert_allclose(sent, np.tile(-0.7 * honest.mean(axis=0), (4, 1)), rtol=1e-12)


def test_turns_a_plain_average_round_from_the_ratio_of_honest_to_byzantine_on() -> None:
    for epsilon, turned in [(3.9, False), (4.1, True)]:  # 16 to 4
        game = Round(Ipm(alpha=0.2, epsilon=epsilon), vectors(20, 9))
        honest, _ = game.attack()
        average = game.inbox(game.forged()).average(np.ones(20, bool))
        assert bool(average @ honest.mean(axis=0) < 0) is turned
