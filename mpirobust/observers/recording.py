"""Writes the trace."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from mpirobust.algorithms.base import escaping
from mpirobust.observers.base import Moment, Observer, Status
from mpirobust.records.trace import Trace

_SHARE = 20  # the trace is rewritten only when this many times the last rewrite has passed: at most 5 % of the time


class Recorder(Observer):
    """Adds one row per round and keeps the file current: readable at any time, never half written."""

    def __init__(self, trace: Trace, path: Path, min_seconds: float = 2.0) -> None:
        self._trace = trace
        self._path = path
        self._status = Status.RUNNING
        self._min_seconds = min_seconds
        self._wait = min_seconds
        self._before = trace.elapsed
        self._began = self._flushed = perf_counter()

    def before_first_round(self, moment: Moment) -> Status | None:
        self._began = perf_counter()
        self._flush(moment)
        return None

    def after_round(self, moment: Moment) -> Status | None:
        assert moment.exchange is not None
        assert moment.verdict is not None
        row = self._trace.rounds.append(moment.times)
        row["round"] = moment.round
        row["escape"] = escaping(moment.state)
        row["bytes_up"] = moment.exchange.bytes_up
        row["bytes_down"] = moment.exchange.bytes_down
        row["elapsed"] = self._before + perf_counter() - self._began
        row["norms"] = moment.exchange.inbox.norms
        row["kept"] = moment.verdict.kept
        row["absent"] = moment.exchange.absent
        if perf_counter() - self._flushed > self._wait:
            self._flush(moment)
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        self._status = status
        self._flush(moment)

    def _flush(self, moment: Moment) -> None:
        before = self._trace.seconds_writing
        self._trace.write(self._path, self._status, moment.round, moment.state.x)
        self._flushed = perf_counter()
        self._wait = max(self._min_seconds, _SHARE * (self._trace.seconds_writing - before))
