"""Writes checkpoints at a cadence and at the end."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from mpirobust.observers.base import Moment, Observer, Status
from mpirobust.records import checkpoint
from mpirobust.records.trace import Trace


class Checkpointer(Observer):
    """Every `every` rounds, and after the last unless the run diverged."""

    def __init__(self, trace: Trace, folder: Path, every: int, plan_id: str) -> None:
        self._trace = trace
        self._folder = folder
        self._every = every
        self._plan_id = plan_id
        self._saved = -1

    def before_first_round(self, moment: Moment) -> Status | None:
        self._saved = moment.round  # round 0 needs no file, and a later one comes from its file
        return None

    def after_round(self, moment: Moment) -> Status | None:
        if moment.round % self._every == 0:
            self._save(moment)
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        if status is not Status.DIVERGED and moment.round > self._saved:
            self._save(moment)

    def _save(self, moment: Moment) -> None:
        began = perf_counter()
        tail = self._trace.tail()
        checkpoint.save(self._folder, moment.round, moment.state, moment.cluster, tail, self._plan_id)
        self._saved = moment.round
        moment.times.checkpoint = perf_counter() - began
