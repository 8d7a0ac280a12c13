"""Ends a run whose numbers are no longer finite."""

from __future__ import annotations

import numpy as np

from mpirobust.observers.base import Moment, Observer, Status


class FiniteWatch(Observer):
    """Says `diverged` as soon as an entry of the iterate is NaN or infinite, or no message of a round is sound.

    Fewer than half of the workers are Byzantine, so where no message is sound
    the honest answers have outgrown the wire format, and the iterate would stand still for ever.
    """

    def before_first_round(self, moment: Moment) -> Status | None:
        return None if np.isfinite(moment.state.x).all() else Status.DIVERGED

    def after_round(self, moment: Moment) -> Status | None:
        assert moment.exchange is not None
        return self.before_first_round(moment) if moment.exchange.answers.sound.any() else Status.DIVERGED

    def after_last_round(self, moment: Moment, status: Status) -> None:
        pass
