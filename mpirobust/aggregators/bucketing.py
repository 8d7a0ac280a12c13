from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from mpirobust.aggregators._around import Around, Mixed
from mpirobust.aggregators.base import Aggregator, Context, Verdict, bears
from mpirobust.answers import Answers
from mpirobust.components import Count, component
from mpirobust.errors import PlanFault


@component
class Bucketing(Around):
    """Means of random buckets of `size` messages before another rule (Karimireddy et al. 2022, Alg. 1).

    The n sound messages are shuffled by the rule's stream of the round and cut into ⌈n / size⌉ buckets, of which the
    last may have fewer. `rule` judges their (weighted) means; one counts with the mean weight of its members. Every
    Byzantine worker may spoil a bucket, so that the rule must tolerate as many of fewer.

    Attributes:
        size: messages in a bucket.
        rule: the rule that judges the means of the buckets.
    """

    size: Count
    rule: Aggregator

    def admit(self, workers: int, byzantine: int) -> None:
        buckets = ceil(workers / self.size)
        if not bears(self.rule.tolerates(), buckets, byzantine) or byzantine >= buckets:
            reason = f"{byzantine} Byzantine workers may be in as many of the {buckets} buckets"
            raise PlanFault("size", f"{reason}; choose a smaller one")
        if self.rule.knows_workers():
            reason = "it remembers each worker or trusts one, and a bucket is of others in every round"
            raise PlanFault("rule.kind", reason)
        super().admit(buckets, byzantine)

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        workers = np.flatnonzero(answers.sound)
        buckets = ceil(workers.size / self.size)
        of = np.empty(workers.size, np.intp)
        of[context.stream().permutation(workers.size)] = np.arange(workers.size) // self.size
        members = of == np.arange(buckets)[:, None]
        shares = members * answers.weights[workers]
        totals = shares.sum(axis=1)
        mixed = Mixed(answers, workers, shares / totals[:, None], np.arange(buckets), totals / members.sum(axis=1))
        verdict = self.rule.judge(mixed, memory, context)
        return Verdict(verdict.step, mixed.parts(verdict.kept), verdict.memory)

    def tolerates(self) -> float | None:
        return None
