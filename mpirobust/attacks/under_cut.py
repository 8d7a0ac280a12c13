from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.aggregators.base import share
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import Field, component


@component
class UnderCut(MessageAttack):
    """All send minus the honest mean direction, just below the cut of norm trimming (P1 Alg. 1 l. 6).

    The rule drops the ⌈βm⌉ longest of m. A message with so many longer honest messages is kept,
    so the norm is the largest below the ⌈βm⌉-th longest honest one, as the center measures it.
    Unsound messages count as longer than any; if they alone fill the cut, the longest
    sound one is the measure, and so it is if nothing is trimmed.

    Attributes:
        beta: β of the rule that is attacked.
    """

    beta: Annotated[float, Field(ge=0, lt=0.5)]

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        mean, _ = spy.moments
        dropped = max(1, share(self.beta, len(spy.answers)))
        norms = np.sort(spy.answers.norms[spy.honest])[::-1][dropped - 1 :]
        cut = norms[np.isfinite(norms)].max(initial=0.0)
        return spy.of_norm(float(np.nextafter(cut, 0)), worker, -mean, rng)
