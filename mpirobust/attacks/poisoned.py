from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Any

import numpy as np

from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import Count, Field, component
from mpirobust.types import Message, Vector

_ONE_PERCENT = 2.3263478740408408  # quantile of the normal distribution
_LEAST_FACTOR = 0.5


@dataclass(frozen=True)
class Campaign:
    """The knowledge that attackers have of all rounds so far; vectors are in units of the answer.

    Attributes:
        signs: of the direction, chosen in the first round; +1 or -1.
        aggregate: of the round before.
        sent: the vector that each of them chose in the round before; zero if there was none.
        total: of the aggregates since the last test.
        factor: c, by which what they send is longer than the aggregate.
        rounds: since the last test.
    """

    signs: Vector
    aggregate: Vector
    sent: Vector
    total: Vector
    factor: float
    rounds: int


@component
class Poisoned(MessageAttack):
    """PoisonedFL (Xie et al. 2025): the same random direction in all rounds, with no knowledge of honest answers.

    All send c ||g|| v ⊙ s: the signs s are drawn once, g is the aggregate of the round before, which every worker
    can tell from two points, and v = |g - (||g||/||u||) u| at length 1, u being what they sent last: what the
    honest ones did. Every `rounds` rounds they test whether the aggregates since have moved more coordinates
    towards s than chance (1 %, one-sided) would; if not, c is multiplied by `shrink`, down to 0.5. In the first
    round they send what is due.

    Attributes:
        factor: c, length of what is sent, in units of the last aggregate's.
        rounds: rounds between two tests of whether the aggregates go along.
        shrink: c is multiplied by this where they do not.
    """

    factor: Annotated[float, Field(gt=0)] = 8.0
    rounds: Count = 50
    shrink: Annotated[float, Field(gt=0, le=1)] = 0.7

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        if spy.memory is None:
            return spy.encode(worker, spy.vector(worker), rng)
        return spy.encode(worker, spy.once(self.poison), rng)

    def poison(self, spy: Spy) -> Vector:
        """Return the vector that all send, shape (d,); zero in the first round."""
        before = spy.memory
        if before is None:
            return np.zeros(spy.answers.dim)
        length, of_sent = (float(np.sqrt(v @ v)) for v in (before.aggregate, before.sent))
        honest = np.abs(before.aggregate - (length / of_sent if of_sent else 0.0) * before.sent)
        size = float(np.sqrt(honest @ honest))
        ratio = before.factor * length / size if size else 0.0
        poison: Vector = (ratio if np.isfinite(ratio) else 0.0) * honest * before.signs
        return poison

    def memory(self) -> type | None:
        return Campaign

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        aggregate, before = spy.aggregate(sent), spy.memory
        if before is None:
            worker = int(spy.byzantine[0]) if spy.byzantine.size else 0
            signs = spy.stream(worker).choice((-1.0, 1.0), aggregate.size)
            return Campaign(signs, aggregate, np.zeros_like(aggregate), np.zeros_like(aggregate), self.factor, 0)
        total, rounds, factor = before.total + aggregate, before.rounds + 1, before.factor
        if rounds == self.rounds:
            if not _more_than_chance(int((np.sign(total) == before.signs).sum()), total.size):
                factor = max(self.shrink * factor, min(_LEAST_FACTOR, factor))
            total, rounds = np.zeros_like(total), 0
        return Campaign(before.signs, aggregate, spy.once(self.poison), total, factor, rounds)

    def strength_in(self, spy: Spy) -> float:
        return self.factor if spy.memory is None else float(spy.memory.factor)


def _more_than_chance(agreeing: int, of: int) -> bool:
    """Return whether fair coins agree so often in less than 1 % of the cases, by the normal distribution."""
    return agreeing > of / 2 + _ONE_PERCENT * sqrt(of) / 2
