from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

import numpy as np

from mpirobust.aggregators.base import Context, Verdict, Weighing, share
from mpirobust.answers import Answers
from mpirobust.components import Field, component
from mpirobust.errors import PlanFault


@component
class Zeno(Weighing):
    """Suspicion by the loss on the center's own rows (Xie, Koyejo, Gupta 2019, Alg. 1), beyond one half Byzantine.

    The step of each worker alone is tried: its score is how much it lowers the loss on the center's rows
    (`center_rows`), less `rho` times the squared length of its answer. The step is the mean of the n - b highest scores
    of n sound messages, b = ⌈βm⌉; ties are broken by worker number. β may be one half or more, and no less than α. A
    query for a gradient from which no step is taken (`two_rounds`) is scored by its product with the gradient there.

    Attributes:
        beta: β, the fraction of messages that are dropped; at least α, and it may be one half or more.
        rho: ρ, weight of the squared length of an answer against its descent.
    """

    beta: Annotated[float, Field(ge=0, lt=1)]
    rho: Annotated[float, Field(ge=0)] = 0.0

    def admit(self, workers: int, byzantine: int) -> None:
        b = share(self.beta, workers)
        if b >= workers:
            raise PlanFault("beta", f"{self.beta} of {workers} workers, rounded up, leaves nobody to keep")
        if byzantine > b:
            raise PlanFault("beta", f"{self.beta} of {workers} workers is less than {byzantine} Byzantine ones")

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers = np.flatnonzero(answers.sound)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = np.array([self._score(answers, worker, context) for worker in workers.tolist()])
        best = np.argsort(-scores, kind="stable")[: max(workers.size - share(self.beta, len(answers)), 1)]
        kept = np.zeros(len(answers), dtype=bool)
        kept[workers[best[scores[best] > -np.inf]]] = True
        return Verdict(answers.average(kept), kept)

    def tolerates(self) -> float | None:
        return None

    def asks_center(self) -> bool:
        return True

    def _score(self, answers: Answers, worker: int, context: Context) -> float:
        oracle, query = context.oracle, context.query
        assert oracle is not None  # as `asks_center` says
        assert query is not None
        step = answers.combine(1.0 * (np.arange(len(answers)) == worker))
        after = oracle.trial(query, step)
        gained = context.answer @ step if after is None else oracle.value(query.vectors[0]) - after
        score = float(gained - self.rho * (step @ step) / query.scale**2)
        return score if isfinite(score) else -np.inf
