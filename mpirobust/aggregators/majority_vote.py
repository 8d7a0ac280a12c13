from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators._columns import coordinate_wise, equal
from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class MajorityVote(Weighing):
    """signSGD with majority vote: `step = scale · sign(Σ sign(v_i))`, coordinate by coordinate (Bernstein et al. 2018).

    The step keeps the direction of the votes, as every rule's: the algorithm subtracts it. Its
    entries are plus or minus the scale (the step size), or 0 if the votes tie; a zero
    abstains. Every sound message votes with the same weight, or that of its worker, however long it is.
    """

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        scale, sound = answers.scale, answers.sound
        weights = answers.weights[sound]
        packed = answers.signs(np.flatnonzero(sound)) if equal(weights) else None
        if packed is not None:  # counted, not decoded: the same bits
            return Verdict(scale * np.sign(packed.votes()), sound)
        return coordinate_wise(answers, sound, lambda block: scale * np.sign(weights @ np.sign(block)))

    def tolerates(self) -> float | None:
        return 0.5
