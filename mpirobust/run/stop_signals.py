"""The signals by which the system asks a run to end."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """Note SIGTERM, SIGINT and SIGUSR1 instead of ending at once; a second SIGINT ends the process at once.

    A context that installs the signal handlers, entered before the data are read. Every process of a job notes the
    signals, because launchers send them to all; but only the center ends the run: its observer `signals` reads `asked`.

    Attributes:
        asked: whether a signal was received.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.asked = True
