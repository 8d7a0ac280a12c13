from __future__ import annotations

from typing import Annotated, Any

from mpirobust.aggregators._around import Around, Clipped
from mpirobust.aggregators.base import Aggregator, Context, Verdict
from mpirobust.answers import Answers
from mpirobust.components import Field, component


@component
class Clipping(Around):
    """Static clipping before another rule: `v_i min(1, radius / ||v_i||)`.

    `radius` is in units of what the workers send, and the same in every round. Lengths are those by which the plan
    sorts messages (`q`, and the claims of Option I).

    Attributes:
        radius: largest length of a message, in units of what the workers send.
        rule: the rule that judges the clipped messages.
    """

    radius: Annotated[float, Field(gt=0)]
    rule: Aggregator

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        return self.rule.judge(Clipped(answers, self.radius), memory, context)
