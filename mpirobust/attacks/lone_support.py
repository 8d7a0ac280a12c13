from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mpirobust.attacks.base import Knowledge, Spy, Tunable
from mpirobust.components import Count, component
from mpirobust.types import Message, Vector


@dataclass(frozen=True)
class Sent:
    """The sum of the honest means of all rounds so far."""

    total: Vector


@component
class LoneSupport(Tunable):
    """All send the same `k` coordinates, those which the fewest honest workers send: there they are the majority.

    Aimed at codes that choose coordinates, such as `topk`: where nobody else sends, the sparse answers of the
    honest are zeros, and norms and distances to them are those of any honest message. The entries have one size,
    and the norm is `fraction` of the median honest norm as the center measures it. Their signs are against the sum
    of the honest means of all rounds, + where that is zero. Of coordinates with equally few senders those with the
    largest sum are taken, then the first. By default k is the median number of entries of an honest answer. The
    strength is `fraction`.

    Attributes:
        k: coordinates that are sent (default: the median of the honest answers').
        fraction: norm of the forged messages, in units of the median honest norm.
        knowledge: whose honest answers the attackers know, "all" or their "own" workers' (default: all).
    """

    k: Count | None = None
    fraction: float = 0.9
    knowledge: Knowledge = None

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        known = spy.known(self.knowledge)
        norm = abs(self.fraction) * known.middle_norm
        return spy.of_norm(norm, worker, np.sign(self.fraction) * known.once(self.signs), rng)

    def signs(self, spy: Spy) -> Vector:
        """Return 1 or -1 in the coordinates that are sent, 0 in the others."""
        dim, total = spy.answers.dim, spy.once(_total)
        senders, entries = np.zeros(dim, dtype=int), np.zeros(spy.sound.size, dtype=int)
        if spy.sound.size:
            for where, block in spy.answers.blocks(spy.sound):
                senders[where] = (block != 0).sum(axis=0)
                entries += (block != 0).sum(axis=1)
        k = self.k or (int(np.median(entries)) if entries.size else 0)
        chosen = np.lexsort((-np.abs(total), senders))[:k]
        signs = np.zeros(dim)
        signs[chosen] = np.where(total[chosen] > 0, -1.0, 1.0)
        return signs

    def memory(self) -> type | None:
        return Sent

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        return Sent(spy.known(self.knowledge).once(_total))

    def strength_in(self, spy: Spy) -> float:
        return self.fraction

    def with_strength(self, strength: float) -> LoneSupport:
        return replace(self, fraction=strength)


def _total(spy: Spy) -> Vector:
    return spy.moments[0] if spy.memory is None else spy.memory.total + spy.moments[0]
