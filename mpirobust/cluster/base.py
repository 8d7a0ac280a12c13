"""The workers, as the center sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Judge
from mpirobust.algorithms.base import Query
from mpirobust.answers import Answers
from mpirobust.round_times import RoundTimes
from mpirobust.types import Vector


@dataclass(frozen=True)
class Exchange:
    """One answered query.

    Attributes:
        answers: what the rule judges; that of an absent worker is never sound.
        bytes_up: the lengths of the messages summed; a forged message counts with its own length.
        bytes_down: the header and the vectors, once for each worker that is present.
        times: of the phases broadcast, compute, encode, gather and forge; the other phases are still to come.
        absent: the workers that were lost with their rank or failed, shape (m,).
    """

    answers: Answers
    bytes_up: int
    bytes_down: int
    times: RoundTimes
    absent: NDArray[np.bool_]


@dataclass(frozen=True)
class Audit:
    """The state of the honest objective at a point: `Σ w_i F_i / Σ w_i` over the workers' shards as they were dealt.

    The weights are all 1, or with `weigh = "rows"` the rows of the shards. All m shards count, also
    those of Byzantine workers, so that runs under different attacks are measured by the same
    function. `test_accuracy` is NaN if the loss or the data have none.
    """

    loss: float
    gradient_norm: float
    test_accuracy: float = nan


class Depleted(Exception):
    """More workers are Byzantine or absent than the rule is set for: its step could not be trusted."""


class Cluster(ABC):
    """The workers, as the center sees them.

    If the MPI library survives a rank failure, every call does: it is repeated without that rank. The workers that
    were hosted there are absent from then on, or are hosted elsewhere (`on_failure = "adopt"`). A worker that fails
    is absent as well, and its rank goes on.
    """

    @property
    def depleted(self) -> bool:
        """True if more workers are faulty or absent than the rule tolerates; results then cover only those left."""
        return False

    @property
    @abstractmethod
    def attack_memory(self) -> Any:
        """What an omniscient attacker remembers of the last round; None if nothing."""

    @abstractmethod
    def ask(self, round: int, query: Query, judge: Judge) -> Exchange:
        """Put `query` to every worker and collect one message of each.

        Args:
            judge: the rule as it stands in this round: an omniscient attacker may ask it.

        Raises:
            WorkerFault: a worker of this process raised; the run cannot go on.
            RankFault: a rank failed, and the plan says `on_failure = "stop"`; so do the other calls but `dismiss`.
            ReportedFault: a worker failed elsewhere, likewise.
            Depleted: too many are lost; nothing came of the query.
        """

    @abstractmethod
    def audit(self, x: Vector) -> Audit:
        """Evaluate the honest objective at `x`, over the workers that are present, outside the ledger."""

    @abstractmethod
    def smoothness(self, x: Vector) -> float:
        """See `algorithms.base.Terrain`."""

    @abstractmethod
    def lambda_min(self, x: Vector) -> float:
        """Return the smallest eigenvalue of the honest Hessian at `x`, outside the ledger; NaN if it is not finite."""

    @abstractmethod
    def memory(self, name: str, round: int) -> Generator[Vector, None, None]:
        """Yield a memory of the feedback as it was before `round`, one worker at a time, in worker order; to be closed.

        `round` is the next to be asked, or the last if nothing came of it. Zeros for a worker that is absent.
        """

    @abstractmethod
    def restore(self, name: str, rows: Iterable[Vector]) -> None:
        """Give the center's half of a feedback what `memory` yielded at a checkpoint; the workers read their own."""

    @abstractmethod
    def restore_attack(self, memory: Any) -> None:
        """Give an omniscient attacker the memory that a checkpoint holds."""

    @abstractmethod
    def dismiss(self, code: int) -> None:
        """Dismiss all workers; `code` becomes the exit code of every rank."""
