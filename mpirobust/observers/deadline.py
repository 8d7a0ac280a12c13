"""Ends the run while there is still time to save it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from time import monotonic, time

import numpy as np

from mpirobust.observers.base import Moment, Observer, Status
from mpirobust.records.trace import Trace

MARGIN = 2.0  # seconds for all that is not estimated: the summary, the end of the other processes
_SLACK = 1.5  # the next of each may take so many times the longest so far
_BYTES_PER_SECOND = 30e6  # of a first checkpoint: gathered, hashed, written, synced
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Deadline(Observer):
    """Interrupts the run where another round, the trace and a checkpoint may not fit in what is left.

    What they take is the longest of each so far in this session, and, of audits and checkpoints, what they mostly
    took in earlier ones: one in which a rank had hung must not keep every later session from its first round. A
    checkpoint that was never written is estimated from its size.

    Args:
        ends: when all has to be over, on `clock`; None for never.
        residuals_nbytes: what a checkpoint holds beside the state.
        clock: seconds, from any start.
    """

    def __init__(
        self, ends: float | None, trace: Trace, residuals_nbytes: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._ends = ends
        self._trace = trace
        self._residuals_nbytes = residuals_nbytes
        self._clock = clock
        self._saw = 0.0
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
            self._note("checkpoint", (state + self._residuals_nbytes) / _BYTES_PER_SECOND)
        self._saw = self._clock()
        self._note_observers(moment)
        return self._judge()

    def after_round(self, moment: Moment) -> Status | None:
        now = self._clock()
        self._note("round", now - self._saw - self._note_observers(moment))
        self._saw = now
        return self._judge()

    def after_last_round(self, moment: Moment, status: Status) -> None:
        pass

    def _note_observers(self, moment: Moment) -> float:
        """Note what the observers before this one took since the last call; returns the sum."""
        writing = self._trace.seconds_writing - self._written
        self._written = self._trace.seconds_writing
        self._note("audit", moment.times.audit)
        self._note("record", writing)
        self._note("checkpoint", moment.times.checkpoint)
        return moment.times.audit + writing + moment.times.checkpoint

    def _judge(self) -> Status | None:
        """A round with all that may be due in it, then the end: the trace and a checkpoint."""
        save = self._longest["record"] + self._longest["checkpoint"]
        need = _SLACK * (self._longest["round"] + self._longest["audit"] + 2 * save) + MARGIN
        return Status.INTERRUPTED if self._ends is not None and self._saw + need > self._ends else None

    def _note(self, phase: str, seconds: float) -> None:
        self._longest[phase] = max(self._longest[phase], seconds)


def passed(ends: float | None) -> bool:
    """Whether there is no time left to before_first_round anything."""
    return ends is not None and monotonic() + MARGIN > ends


def end_of(limit: str | None, environment: Mapping[str, str] = os.environ) -> float | None:
    """When a job that starts now has to be over, on `time.monotonic`; None for never.

    Args:
        limit: `4h`, `30m`, `90s`, `HH:MM:SS`, `none`; None for what SLURM says in `environment`, if it does.

    Raises:
        ValueError: `limit` is none of these.
    """
    if limit is None:
        end = environment.get("SLURM_JOB_END_TIME", "")
        return monotonic() + int(end) - time() if end.isdecimal() else None
    return None if limit == "none" else monotonic() + _seconds(limit)


def _seconds(limit: str) -> float:
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", limit):
        return float(match[1]) * _UNITS[match[2]]
    if match := re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", limit):
        return 3600.0 * int(match[1]) + 60 * int(match[2]) + int(match[3])
    raise ValueError(f"{limit!r} is no time limit: write 4h, 30m, 90s, HH:MM:SS or none")
