"""Ends the run after the current round if the system asks for it."""

from __future__ import annotations

from collections.abc import Callable

from mpirobust.components import component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch


@component
class Signals(Observer):
    """Ends the run as interrupted once SIGTERM, SIGINT or SIGUSR1 was received."""

    def start(self, run: RunContext) -> SignalWatch:
        return SignalWatch(run.interrupted)


class SignalWatch(Watch):
    """See `Signals`."""

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted

    def before_first_round(self, moment: Moment) -> Status | None:
        return Status.INTERRUPTED if self._interrupted() else None

    def after_round(self, moment: Moment) -> Status | None:
        return self.before_first_round(moment)
