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
from mpirobust.feedback.base import Half
from mpirobust.round_times import RoundTimes
from mpirobust.stop_rules import StopRules
from mpirobust.types import Vector

if TYPE_CHECKING:  # the plan needs this module on every rank, and only the center needs HDF5
    from mpirobust.records.trace import Trace


class Status(StrEnum):
    """The status of a run, as the trace has it."""

    RUNNING = "running"  # also after the run was killed
    FINISHED = "finished"  # all rounds done
    CONVERGED = "converged"  # a [stop] rule was met
    DIVERGED = "diverged"  # numbers are not finite, or the loss at the end is absurd
    INTERRUPTED = "interrupted"
    LOST = "lost"  # more workers are Byzantine or absent than the rule tolerates


@dataclass(frozen=True)
class Moment:
    """The run after `round` rounds.

    Attributes:
        round: the number of completed rounds.
        state: the state of the algorithm after them.
        cluster: the workers, for queries outside the ledger.
        memories: the memory of the aggregation rule for each kind of query.
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
        plan_id: hash of the keys of the plan that may not change on resume.
        rounds: the number of rounds after which the run ends at the latest.
        solutions: the minima, if they are known, each of shape (d,); else empty.
        stop: the rules by which the run has converged.
        memories: of the feedback, as a checkpoint contains them.
        memories_nbytes: the size of all of them, in bytes.
        ends: when the session must have ended, on `time.monotonic`; None for never.
        limit: where `ends` comes from, for messages.
        quiet: whether to write no notes to the terminal, and progress only with a label.
        label: what the progress begins with, of a run that is one of many.
        interrupted: returns whether the system has asked the run to end.
    """

    trace: Trace
    folder: Path
    plan_id: str
    rounds: int
    solutions: Sequence[Vector] = ()
    stop: StopRules = field(default_factory=StopRules)
    memories: Sequence[Half] = ()
    memories_nbytes: int = 0
    ends: float | None = None
    limit: str = ""
    quiet: bool = False
    label: str = ""
    interrupted: Callable[[], bool] = lambda: False


class Watch:
    """The hooks of an observer in one run. They may end the run and must not change it otherwise.

    Each hook is called on all watches, in order; then the first status that one of them returned ends the run. The
    hooks do nothing by default, and a watch overrides those that it needs.
    """

    def before_first_round(self, moment: Moment) -> Status | None:
        """Return a status to end the run before it begins.

        Called once, after the start or the checkpoint is loaded and before the first round of this session.
        """

    def after_round(self, moment: Moment) -> Status | None:
        """Return a status to end the run after this round.

        Called after every round, when the state has advanced.
        """

    def final_queries(self, moment: Moment, status: Status) -> Status | None:
        """Query the workers once more; return a status to end the run with instead of `status`.

        Called once, after the last round. If too many workers are lost in it, the run ends as LOST.
        """

    def after_last_round(self, moment: Moment, status: Status) -> None:
        """Write the final output.

        Called once, after all final queries, with the final status. The workers can still be queried, unless too many
        are lost.
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
