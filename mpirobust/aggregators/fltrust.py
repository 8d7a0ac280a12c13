from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from mpirobust.aggregators.base import Context, Verdict, Weighing
from mpirobust.answers import Answers
from mpirobust.components import Field, component


@component
class FLTrust(Weighing):
    """Trust by the angle to what the center's own rows answer (Cao et al. 2021, Alg. 2), beyond one half Byzantine.

    With g_0 the answer of the center's rows (`center_rows`) to the query, be it a gradient or a Newton step, a message
    is trusted by `max(cos(v_i, g_0), 0)`. The step is the mean, weighted by trust, of the messages at the length
    of g_0: whatever they are, it is no longer than g_0 and does not point away from it. Nobody trusted, no step.
    With `own`, g_0 is one more message, trusted by so much; the paper has none of it. It leads where all workers have
    another kind of data than the center, and none an answer like g_0.

    Attributes:
        own: trust in the answer of the center's own rows; 0 leaves it out of the mean.
    """

    own: Annotated[float, Field(ge=0)] = 0.0

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, reference = np.flatnonzero(answers.sound), context.answer
        products, squares = np.zeros(workers.size), np.zeros(workers.size)
        with np.errstate(over="ignore", invalid="ignore"):
            length = np.sqrt(reference @ reference)
            for where, block in answers.blocks(workers):
                products += block @ reference[where]
                squares += np.einsum("ij,ij->i", block, block)
        usable = (squares > 0) & (squares < np.inf) & np.isfinite(products) & (0 < length < np.inf)
        norms = np.where(usable, np.sqrt(squares), 1.0)
        cosines = np.where(usable, products / norms, 0.0) / (length or 1.0)
        trust = np.maximum(cosines, 0.0) * answers.weights[workers]
        weights = np.zeros(len(answers))
        total = (trust.sum() + self.own) or 1.0
        weights[workers] = trust / total * (length if length < np.inf else 0.0) / norms
        step = answers.combine(weights)
        if self.own and weights.any():
            step = step + self.own / total * reference
        return Verdict(step, weights > 0)

    def tolerates(self) -> float | None:
        return None

    def asks_center(self) -> bool:
        return True
