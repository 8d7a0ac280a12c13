"""An observer that lets a run go on a round at a time: after each it says so in one pipe and waits at another."""

from __future__ import annotations

import os

from mpirobust.components import component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch


@component
class Gate(Observer):
    """Stops the run after each round.

    Attributes:
        tells: path of the pipe that gets a byte after each round.
        waits: path of the pipe from which a byte is read before the next.
    """

    tells: str
    waits: str

    def start(self, run: RunContext) -> Gatekeeper:
        return Gatekeeper(os.open(self.tells, os.O_WRONLY), os.open(self.waits, os.O_RDONLY))


class Gatekeeper(Watch):
    """See `Gate`."""

    def __init__(self, tells: int, waits: int) -> None:
        self._tells, self._waits = tells, waits

    def after_round(self, moment: Moment) -> Status | None:
        os.write(self._tells, b".")
        os.read(self._waits, 1)
        return None
