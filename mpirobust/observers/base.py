"""The contract of an observer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import State
from mpirobust.cluster.base import Cluster, Exchange


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
        memories: what the aggregation rule remembers for each kind of query.
        exchange, verdict: of the round just done; None before the first.
        seconds: of each phase of the round; observers add what they take.
    """

    round: int
    state: State
    cluster: Cluster
    memories: Mapping[int, Any] = field(default_factory=dict)
    exchange: Exchange | None = None
    verdict: Verdict | None = None
    seconds: dict[str, float] = field(default_factory=dict)


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
