from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from mpirobust.aggregators._geometry import nearest_to
from mpirobust.aggregators.base import Context, Fraction, Verdict, Weighing, expect_minority, share
from mpirobust.answers import Answers
from mpirobust.components import MOST, Field, component
from mpirobust.errors import PlanFault


@component
class MoNNA(Weighing):
    """The mean of the n - f messages nearest to one that is trusted, f = ⌈βm⌉ (Farhadkhani et al. 2023).

    In the paper every node trusts itself. Here it is what the center's own rows (`center_rows`) answer, or the message
    of the worker `trusted`, whom the user has to know: `attack` may have chosen him. Without a sound message of his
    there is no step. n is the number of sound messages; ties are broken by worker number.

    Attributes:
        beta: β, the largest fraction of Byzantine workers that the rule is set for.
        trusted: number of the worker that is trusted, with redundancy of its group (default: the center's own rows).
    """

    beta: Fraction
    trusted: Annotated[int, Field(ge=0, le=MOST)] | None = None

    def admit(self, workers: int, byzantine: int) -> None:
        expect_minority(self.beta, workers)
        if self.trusted is not None and self.trusted >= workers:
            raise PlanFault("trusted", f"{self.trusted} is no number of 0 to {workers - 1}")
        if byzantine > share(self.beta, workers):
            raise PlanFault("beta", f"{self.beta} of {workers} workers is less than {byzantine} Byzantine ones")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        keep = max(int(answers.sound.sum()) - share(self.beta, len(answers)), 1)
        if self.trusted is None:
            kept = nearest_to(answers, context.answer, keep)
        elif answers.sound[self.trusted]:
            kept = nearest_to(answers, answers.combine(1.0 * (np.arange(len(answers)) == self.trusted)), keep)
        else:
            kept = np.zeros(len(answers), dtype=bool)
        return Verdict(answers.average(kept), kept)

    def tolerates(self) -> float | None:
        return None

    def knows_workers(self) -> bool:
        return self.trusted is not None

    def asks_center(self) -> bool:
        return self.trusted is None
