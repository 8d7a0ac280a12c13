from __future__ import annotations

from typing import Any

import numpy as np

from mpirobust.aggregators._around import Around, Mixed, expect_stronger
from mpirobust.aggregators._columns import equal, relative
from mpirobust.aggregators._geometry import measured, squared_distances
from mpirobust.aggregators.base import Aggregator, Context, Fraction, Verdict, share
from mpirobust.answers import Answers
from mpirobust.components import component


@component
class NNM(Around):
    """Nearest-neighbour mixing before another rule (Allouah et al. 2023, Alg. 2).

    Each sound message is replaced by the (weighted) mean of its n - f nearest, itself among them
    (f = ⌈βm⌉; ties by worker number), and `rule` judges these. They exist one block at a
    time, and count with the mean weight of their parts. The verdict keeps every message that
    is part of one that `rule` keeps.

    Attributes:
        beta: β, the largest fraction of Byzantine workers that the rule is set for.
        rule: the rule that judges the mixed messages.
    """

    beta: Fraction
    rule: Aggregator

    def admit(self, workers: int, byzantine: int) -> None:
        expect_stronger(self.rule, self.beta, workers, "mixing")
        super().admit(workers, byzantine)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers, gram = measured(answers)
        near = max(workers.size - share(self.beta, len(answers)), 1)
        nearest = np.argsort(squared_distances(gram), axis=1, kind="stable")[:, :near]
        counts = answers.weights[workers][nearest]
        mixing = np.zeros((workers.size, workers.size))
        parts = 1 / near if equal(answers.weights) else counts / counts.sum(axis=1, keepdims=True)
        np.put_along_axis(mixing, nearest, parts, axis=1)
        weights = np.ones(len(answers))
        weights[workers] = relative(counts.sum(axis=1))  # those of workers with the same neighbours are the same
        mixed = Mixed(answers, workers, mixing, workers, weights, gram)
        verdict = self.rule.judge(mixed, memory, context)
        return Verdict(verdict.step, mixed.parts(verdict.kept), verdict.memory)

    def tolerates(self) -> float | None:
        return self.beta

    def kappa(self, workers: int, byzantine: int) -> float | None:
        f = share(self.beta, workers)
        inner = self.rule.kappa(workers, f)
        return None if inner is None or byzantine > f else 8 * f / (workers - f) * (inner + 1)
