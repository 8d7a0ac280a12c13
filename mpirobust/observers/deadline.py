"""Ends the run while there is still time to save it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from mpirobust.components import component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch
from mpirobust.terminal import say
from mpirobust.time_limit import MARGIN, shortage

if TYPE_CHECKING:
    from mpirobust.records.trace import Trace

_SLACK = 1.5  # the next run of each phase may take so many times the longest so far
_BYTES_PER_SECOND = 30e6  # of a first checkpoint: gather, hash, write, sync


@component
class Deadline(Observer):
    """Interrupts the run while there is still time for the trace and a checkpoint."""

    def start(self, run: RunContext) -> DeadlineWatch | None:
        if run.ends is None:
            return None
        return DeadlineWatch(run.ends, run.trace, run.memories_nbytes, monotonic, run.limit)


class DeadlineWatch(Watch):
    """Estimates per phase: the maximum of this session; for audits and checkpoints also the median of earlier ones.

    The maximum over earlier sessions is not used: one audit in which a rank hung would then prevent every later session
    from its first round. If no checkpoint was written yet, its time is estimated from its size.

    This watch is the last, because it needs the times of all others.

    Args:
        ends: when the job must have ended, in seconds on `clock`.
        memories_nbytes: size of a checkpoint without the state, in bytes.
        clock: returns seconds since any fixed instant.
        limit: where `ends` comes from, for messages.
    """

    def __init__(
        self, ends: float, trace: Trace, memories_nbytes: int, clock: Callable[[], float], limit: str = ""
    ) -> None:
        self._ends = ends
        self._trace = trace
        self._memories_nbytes = memories_nbytes
        self._clock = clock
        self._limit = limit
        self._now = 0.0  # when the earlier observers had finished with the last moment
        self._written = trace.seconds_writing
        self._longest = {"round": 0.0, "audit": 0.0, "record": 0.0, "checkpoint": 0.0}

    def before_first_round(self, moment: Moment) -> Status | None:
        rows = self._trace.rounds.rows
        for phase in ("audit", "checkpoint"):
            took = rows[f"seconds_{phase}"]
            took = took[took > 0.0]
            self._note(phase, float(np.quantile(took, 0.5, method="lower")) if took.size else 0.0)
        if not self._longest["checkpoint"]:
            state = sum(np.asarray(getattr(moment.state, each.name)).nbytes for each in fields(moment.state))
            self._note("checkpoint", (state + self._memories_nbytes) / _BYTES_PER_SECOND)
        self._now = self._clock()
        self._note_observers(moment)
        status = self._judge()
        if status is not None:
            say(shortage(self._ends - self._now, self._need(), self._limit))
        return status

    def after_round(self, moment: Moment) -> Status | None:
        before, self._now = self._now, self._clock()
        self._note("round", self._now - before - self._note_observers(moment))
        return self._judge()

    def _note_observers(self, moment: Moment) -> float:
        """Note the times of the other observers for this moment, in seconds; return their sum."""
        before, self._written = self._written, self._trace.seconds_writing
        times = {"audit": moment.times.audit, "record": self._written - before, "checkpoint": moment.times.checkpoint}
        for phase, seconds in times.items():
            self._note(phase, seconds)
        return sum(times.values())

    def _note(self, phase: str, seconds: float) -> None:
        self._longest[phase] = max(self._longest[phase], seconds)

    def _judge(self) -> Status | None:
        return Status.INTERRUPTED if self._now + self._need() > self._ends else None

    def _need(self) -> float:
        """Return the seconds for a round with all phases that may be due, and then for the end.

        A round may have an audit, the trace and a checkpoint; the end has the trace and a checkpoint.
        """
        save = self._longest["record"] + self._longest["checkpoint"]
        return _SLACK * (self._longest["round"] + self._longest["audit"] + 2 * save) + MARGIN
