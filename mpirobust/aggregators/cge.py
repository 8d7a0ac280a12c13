from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators._geometry import nearest_to
from mpirobust.aggregators.base import Context, SetForBeta, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class CGE(SetForBeta, Weighing):
    """Comparative gradient elimination: the mean of the n - f shortest messages, f = ⌈βm⌉ (Gupta, Liu, Vaidya 2020).

    `norm-trim` but for two things. Lengths are the 2-norms of the decoded messages, whatever `q` is and whatever
    workers claim (Option I). And n counts the sound messages: those of workers that are gone are not among the f.
    The authors take the sum of the kept messages, which is a step n - f times as long.
    """

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        keep = max(int(answers.sound.sum()) - share(self.beta, len(answers)), 1)
        kept = nearest_to(answers, np.zeros(answers.dim), keep)
        return Verdict(answers.average(kept), kept)
