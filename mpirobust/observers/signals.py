"""Ends the run after the current round when the system asks for it."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from mpirobust.observers.base import Moment, Observer, Status

_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class SignalWatch(Observer):
    """SIGTERM, SIGINT and SIGUSR1 stop the run after the round; a second SIGINT ends it at once.

    As a context it holds the signal handlers, from before the data are read.
    Every process of a job takes note, and only the center acts on it: it sends the others home.

    Attributes:
        asked: whether a signal has come.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> SignalWatch:
        self._before = {number: signal.signal(number, self._note) for number in _ASKED_TO_END}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def before_first_round(self, moment: Moment) -> Status | None:
        return Status.INTERRUPTED if self.asked else None

    def after_round(self, moment: Moment) -> Status | None:
        return self.before_first_round(moment)

    def after_last_round(self, moment: Moment, status: Status) -> None:
        pass

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.asked = True
