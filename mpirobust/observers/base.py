"""The contract of an observer: a component of the plan that starts a watch over one run.

An observer is the table `[observers.<name>]` of a plan, as a compressor is the table `[compressor]`: a frozen set of
keys. Its watch lives for one session of a run, in the process of the center, and may remember what it has seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import State
from mpirobust.cluster.base import Cluster, Exchange
from mpirobust.round_times import RoundTimes
from mpirobust.stop_rules import StopRules
from mpirobust.types import Vector

if TYPE_CHECKING:  # the plan needs this module on every rank, and only the center needs HDF5
    from mpirobust.records.trace import Trace


class Status(StrEnum):
    """The status of a run, as the trace has it."""

    RUNNING = "running"  # also of a run that was killed and could not write another
    FINISHED = "finished"  # all rounds done
    CONVERGED = "converged"  # a [stop] rule was met
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    LOST = "lost"  # more workers are Byzantine or absent than the rule tolerates


@dataclass(frozen=True)
class Moment:
    """The run after `round` rounds.

    Attributes:
        memories: what the aggregation rule remembers for each kind of query.
        exchange, verdict: of the round just done; None before the first.
        times: of the round just done. They become its row of the trace; an observer whose work is a phase of the round
            sets that phase and no other.
    """

    round: int
    state: State
    cluster: Cluster
    memories: Mapping[int, Any] = field(default_factory=dict)
    exchange: Exchange | None = None
    verdict: Verdict | None = None
    times: RoundTimes = field(default_factory=RoundTimes)


@dataclass(frozen=True)
class RunContext:
    """The run that a watch is started for, in this session.

    Attributes:
        trace: the rows of all rounds and audits, those of earlier sessions included. The observers `audit` and
            `recorder` add the rows; every other observer only reads them.
        folder: the output folder.
        plan_id: hash of all keys of the plan but those that may change when the run is resumed.
        rounds: after which the run ends if nothing ends it earlier.
        solutions: the minima where they are known, else empty.
        stop: when the run has converged.
        memories: names of what the feedback keeps for each worker; a checkpoint holds it beside the state.
        memories_nbytes: the size of all of that.
        ends: when the session must have ended, on `time.monotonic`; None for never.
        quiet: whether to write nothing to the terminal.
        interrupted: return whether the system has asked the run to end.
    """

    trace: Trace
    folder: Path
    plan_id: str
    rounds: int
    solutions: Sequence[Vector] = ()
    stop: StopRules = field(default_factory=StopRules)
    memories: Sequence[str] = ()
    memories_nbytes: int = 0
    ends: float | None = None
    quiet: bool = False
    interrupted: Callable[[], bool] = lambda: False


class Watch:
    """An observer at work in one run. It may end the run and must not change it otherwise.

    All observers see a moment before the next thing happens; the first status that one of them returns ends the run.
    The hooks do nothing by default, and a watch overrides those that it needs.
    """

    def before_first_round(self, moment: Moment) -> Status | None:
        """Return a status to end the run before it begins.

        Called once, after the start or the checkpoint is loaded and before the first round of this session.
        """

    def after_round(self, moment: Moment) -> Status | None:
        """Return a status to end the run after this round.

        Called after every round, when the state has advanced.
        """

    def final_queries(self, moment: Moment, status: Status) -> None:
        """Query the workers once more.

        Called once, after the last round. If too many workers are lost in it, the run ends as LOST instead of `status`.
        """

    def after_last_round(self, moment: Moment, status: Status) -> None:
        """Write what is to be written in the end.

        Called once, after all final queries, with the final status. The workers are still there, but may be too few.
        """


class Observer(ABC):
    """Starts a watch over a run.

    An observer is a `component`: its fields are the keys of its table in the plan. It is built on every rank that reads
    the plan, so what only the center needs is imported in `start`.

    Attributes:
        free_on_resume: the keys that may differ between a run and its continuation. With `kind` in it, the observer may
            also be added or left out.
    """

    free_on_resume: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def start(self, run: RunContext) -> Watch | None:
        """Return a new watch over `run`, or None if there is nothing to watch.

        Called once per session, at the center only, before the first round.
        """
