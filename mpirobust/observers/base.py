"""The contract of an observer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import State
from mpirobust.cluster.base import Cluster, Exchange
from mpirobust.round_times import RoundTimes


class Status(StrEnum):
    """How a run stands, as written in the trace."""

    RUNNING = "running"  # or killed: nobody was left to write more
    FINISHED = "finished"  # all rounds done
    CONVERGED = "converged"  # a [stop] rule was met
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    LOST = "lost"  # more workers are Byzantine or absent than the rule is set for


@dataclass(frozen=True)
class Moment:
    """The run after `round` rounds.

    Attributes:
        exchange, verdict: of the round just done; None before the first.
        times: of the round just done; an observer whose work has a phase sets it.
    """

    round: int
    state: State
    cluster: Cluster
    exchange: Exchange | None = None
    verdict: Verdict | None = None
    times: RoundTimes = field(default_factory=RoundTimes)


class Observer(ABC):
    """Sees the run and never changes it."""

    @abstractmethod
    def before_first_round(self, moment: Moment) -> Status | None:
        """Before the first round of this process; a status ends the run before it."""

    @abstractmethod
    def after_round(self, moment: Moment) -> Status | None:
        """After a round; a status ends the run."""

    def final_queries(self, moment: Moment, status: Status) -> None:  # noqa: B027  # most have nothing to ask
        """After the last round, to ask the workers what the record lacks; where they are lost in it, so is the run."""

    @abstractmethod
    def after_last_round(self, moment: Moment, status: Status) -> None:
        """After the last round, when the status stands."""
