"""Ends a run whose numbers are no longer finite."""

from __future__ import annotations

import numpy as np

from mpirobust.components import component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch


@component
class Finite(Observer):
    """Ends the run as diverged if the iterate is not finite or no message of a round is sound.

    Fewer than half of the workers are Byzantine. So if no message is sound, the honest answers are too large for the
    wire format, and the iterate would never change again. With redundancy there may also be no group with a majority.
    """

    def start(self, run: RunContext) -> FiniteWatch:
        return FiniteWatch()


class FiniteWatch(Watch):
    """See `Finite`."""

    def before_first_round(self, moment: Moment) -> Status | None:
        return None if np.isfinite(moment.state.x).all() else Status.DIVERGED

    def after_round(self, moment: Moment) -> Status | None:
        assert moment.exchange is not None
        return self.before_first_round(moment) if moment.exchange.answers.sound.any() else Status.DIVERGED
