from __future__ import annotations

from typing import Annotated

import numpy as np

from mpirobust.aggregators.base import share
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.components import Field, component


@component
class SaddlePoint(MessageAttack):
    """All cancel what the rule would keep of the honest, so that every point looks stationary (Yin et al. 2019).

    Each of f colluders sends -1/f Σ of the honest vectors that norm trimming with `beta` keeps (all with 0, and the
    plain mean is then zero), but nothing longer than the cut allows: near a saddle, where honest vectors are little but
    the noise between the workers, that is enough for a fake local minimum. The cut is that of `under-cut`, the ⌈βm⌉-th
    longest honest norm as the center measures it; unsound messages count as longer than any.

    Attributes:
        beta: β of the rule that is attacked.
    """

    beta: Annotated[float, Field(ge=0, lt=0.5)]

    def adheres(self) -> bool:
        return True

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        m, norms = len(spy.answers), spy.answers.norms[spy.honest]
        order = np.argsort(norms, kind="stable")
        dropped = share(self.beta, m)
        kept = np.intersect1d(spy.honest[order[: max(0, order.size - dropped)]], spy.sound)
        weights = np.zeros(m)
        weights[kept] = -1 / spy.byzantine.size
        v = spy.answers.combine(weights)
        longest = np.sort(norms)[::-1][max(1, dropped) - 1 :]
        limit = float(np.nextafter(longest[np.isfinite(longest)].max(initial=0.0), 0))
        message = spy.encode(worker, v, rng)
        return message if spy.measure(worker, message) <= limit else spy.of_norm(limit, worker, v, rng)
