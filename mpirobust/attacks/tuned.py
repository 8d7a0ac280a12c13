from __future__ import annotations

from collections.abc import Sequence
from math import copysign, exp, isnan, log, sqrt
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from mpirobust.attacks.base import Attack, MessageAttack, Spy, Tunable
from mpirobust.components import Field, component
from mpirobust.errors import PlanFault
from mpirobust.numerics.norms import q_norm
from mpirobust.types import Message

_GOLDEN = (sqrt(5) - 1) / 2


@component
class Tuned(MessageAttack):
    """Another attack, with the strength that harms the plan's own rule most in this round, on the bytes that cross.

    After the optimised attacks of ByzFL and of Shejwalkar, Houmansadr 2021, here against the rule with its
    memory, after compression and feedback. The harm is ||step - honest step||, or with `aim = "descent"` it is -⟨step,
    honest step⟩; the honest step is the mean of the honest answers. Of `evaluations` calls of the rule the first tries
    the strength that the plan gives to `inner`, so the harm is never less than that of `inner` alone; about half try
    both signs of sizes between `least` and `most`, evenly spaced in their logarithm; the rest is a golden-section
    search of the logarithm around the best. Its workers search once, together; the search is greedy, round by round.

    Attributes:
        inner: the attack whose strength is searched.
        aim: what is made large: the distance to the honest step, or the step against it.
        evaluations: calls of the rule in each round.
        least: smallest size of a strength that is tried.
        most: largest size of a strength that is tried.
    """

    handed_down: ClassVar = ("alpha", "workers")

    inner: Attack
    aim: Literal["distance", "descent"] = "distance"
    evaluations: Annotated[int, Field(ge=9, le=10**6)] = 32
    least: Annotated[float, Field(gt=0)] = 0.01
    most: Annotated[float, Field(gt=0)] = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.inner, Tunable):
            raise PlanFault("inner.kind", "it has no strength to search; choose one that has, such as alie or shift")
        if self.inner.alpha != self.alpha:
            raise PlanFault("inner.alpha", f"{self.inner.alpha} is not the {self.alpha} of the search; leave it out")
        if self.inner.workers != self.workers:
            raise PlanFault("inner.workers", "they are not those of the search; leave them out")
        if self.least >= self.most:
            raise PlanFault("most", f"{self.most} is not above least = {self.least}")

    def adheres(self) -> bool:
        return self.inner.adheres()

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return spy.once(self.strongest).forge(worker, spy, rng)

    def memory(self) -> type | None:
        return self.tunable.memory()

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        return spy.once(self.strongest).remember(spy, sent)

    def strength_in(self, spy: Spy) -> float:
        return spy.once(self.strongest).strength_in(spy)

    @property
    def tunable(self) -> Tunable:
        """The inner attack."""
        assert isinstance(self.inner, Tunable)
        return self.inner

    def strongest(self, spy: Spy) -> Tunable:
        """Return `inner` with the strength found; as it is if there is nobody to send it."""
        if not spy.byzantine.size:
            return self.tunable
        harms: dict[float, float] = {}

        def harm(strength: float) -> float:
            if strength not in harms:
                harms[strength] = self._harm(spy, self.tunable.with_strength(strength))
            return harms[strength]

        points = (self.evaluations - 1) // 4
        sizes = np.geomspace(self.least, self.most, points).tolist()
        for strength in (self.tunable.strength_in(spy), *sizes, *(-size for size in sizes)):
            harm(strength)
        best = max(harms, key=harms.__getitem__)  # the first of equals
        first, last = log(self.least), log(self.most)
        middle, width = min(max(log(abs(best) or self.least), first), last), (last - first) / (points - 1)
        low, high = max(middle - width, first), min(middle + width, last)
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        for _ in range(self.evaluations - 2 - 2 * points):  # one call each, and one more in the first
            if harm(copysign(exp(left), best)) >= harm(copysign(exp(right), best)):
                high, right = right, left
                left = high - _GOLDEN * (high - low)
            else:
                low, left = left, right
                right = low + _GOLDEN * (high - low)
        return self.tunable.with_strength(max(harms, key=harms.__getitem__))

    def _harm(self, spy: Spy, attack: MessageAttack) -> float:
        step, honest = spy.judge(spy.sent(attack)), spy.honest_step
        harm = q_norm(step - honest, 2.0) if self.aim == "distance" else -float(step @ honest)
        return -np.inf if isnan(harm) else harm
