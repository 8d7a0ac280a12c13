"""The signals by which the system asks a run to end."""

from __future__ import annotations

import signal
from threading import main_thread
from types import FrameType, TracebackType
from typing import Any

from mpirobust.errors import Interrupted

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
        self._why = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ask(self, why: str) -> None:
        """Ask the run to end, from another thread, by a signal. Only inside the context."""
        self._why = self._why or why
        signal.pthread_kill(main_thread().ident or 0, signal.SIGUSR1)

    def end_if_asked(self) -> None:
        """Raise `Interrupted` if a signal was received. For set-up, in which no round has been computed."""
        if self.asked:
            raise Interrupted(f"ended by {self._why} before the first round; nothing new was saved")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.asked, self._why = True, self._why or signal.Signals(number).name
