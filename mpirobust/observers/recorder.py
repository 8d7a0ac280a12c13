"""Writes the trace."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from mpirobust.algorithms.base import escaping
from mpirobust.components import Field, component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch

if TYPE_CHECKING:
    from mpirobust.records.trace import Trace

_SHARE = 20  # rewrite only after so many times the duration of the last rewrite: at most 5 % of the time


@component
class Record(Observer):
    """Adds a row for every round to the trace and keeps the file current.

    Attributes:
        every_seconds: least seconds between two writes of run.h5, but at the start and the end.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"kind", "every_seconds"})

    every_seconds: Annotated[float, Field(ge=0)] = 2.0

    def start(self, run: RunContext) -> Recorder:
        from mpirobust.records.layout import TRACE

        return Recorder(run.trace, run.folder / TRACE, self.every_seconds)


class Recorder(Watch):
    """The file at `path` can be read at any time and is never half written; see `Record`."""

    def __init__(self, trace: Trace, path: Path, every_seconds: float = 2.0) -> None:
        self._trace = trace
        self._path = path
        self._status = Status.RUNNING
        self._every_seconds = every_seconds
        self._wait = every_seconds
        self._before = trace.elapsed
        self._began = self._written = perf_counter()

    def before_first_round(self, moment: Moment) -> Status | None:
        self._began = perf_counter()
        self._write(moment)
        return None

    def after_round(self, moment: Moment) -> Status | None:
        exchange, verdict = moment.exchange, moment.verdict
        assert exchange is not None
        assert verdict is not None
        row = self._trace.rounds.append(moment.times)
        row["round"] = moment.round
        row["escape"] = escaping(moment.state)
        row["bytes_up"] = exchange.bytes_up
        row["bytes_down"] = exchange.bytes_down
        row["elapsed"] = self._before + perf_counter() - self._began
        row["strength"] = exchange.strength
        row["norms"] = exchange.of_workers(exchange.answers.norms, np.inf)
        row["kept"] = exchange.of_workers(verdict.kept, False)
        row["absent"] = exchange.absent
        row["reset"] = exchange.reset
        row["outvoted"] = exchange.outvoted
        row["replayed"] = exchange.replayed
        row["refuted"] = exchange.refuted
        if perf_counter() - self._written > self._wait:
            self._write(moment)
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        self._status = status
        self._write(moment)

    def _write(self, moment: Moment) -> None:
        before = self._trace.seconds_writing
        self._trace.write(self._path, self._status, moment.round, moment.state.x)
        self._written = perf_counter()
        self._wait = max(self._every_seconds, _SHARE * (self._trace.seconds_writing - before))
