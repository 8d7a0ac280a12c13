"""Writes checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

from mpirobust.cluster.base import Depleted
from mpirobust.components import Count, component
from mpirobust.feedback.base import Half
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch
from mpirobust.terminal import detail

if TYPE_CHECKING:
    from mpirobust.records.trace import Trace


@component
class Checkpoints(Observer):
    """Writes a checkpoint now and then, and after the last round unless the run has diverged.

    Attributes:
        every: rounds from checkpoint to checkpoint.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset({"every"})

    every: Count = 25

    def start(self, run: RunContext) -> Checkpointer:
        return Checkpointer(self.every, run.trace, run.folder, run.plan_id, run.memories)


class Checkpointer(Watch):
    """See `Checkpoints`. A run that loses too many workers and their memory keeps the checkpoint that still has it."""

    def __init__(self, every: int, trace: Trace, folder: Path, plan_id: str, memories: Sequence[Half] = ()) -> None:
        self._every = every
        self._trace = trace
        self._folder = folder
        self._plan_id = plan_id
        self._memories = memories
        self._saved = -1

    def before_first_round(self, moment: Moment) -> Status | None:
        self._saved = moment.round  # round 0 needs no checkpoint, and a later round was loaded from one
        return None

    def after_round(self, moment: Moment) -> Status | None:
        if moment.round % self._every == 0:
            self._save(moment)
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        if status is not Status.DIVERGED and moment.round > self._saved:
            self._save(moment)

    def _save(self, moment: Moment) -> None:
        from mpirobust.records import checkpoint

        began = perf_counter()
        rule = {kind: memory for kind, memory in moment.memories.items() if memory is not None}
        cluster, tail = moment.cluster, self._trace.tail()
        attack, held = cluster.attack_memory, cluster.held
        snapshot = checkpoint.Snapshot(moment.round, moment.state, tail, rule, attack, held=held)
        memories = {half.label: cluster.memory(half.name, moment.round, half.at_worker) for half in self._memories}
        with suppress(Depleted):
            checkpoint.save(self._folder, snapshot, self._plan_id, memories, cluster.forgets)
            self._saved = moment.round
            detail(f"checkpoint after round {moment.round} in {perf_counter() - began:.2f} s")
        moment.times.checkpoint = perf_counter() - began
