"""All that the center may do to the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.answers import Inbox
from mpirobust.round_times import RoundTimes
from mpirobust.types import Vector


@dataclass(frozen=True)
class Exchange:
    """One answered query.

    Attributes:
        inbox: the messages; that of an absent worker is empty, and so never sound.
        bytes_up: their lengths summed; a forged message counts with its own length.
        bytes_down: the header and the vectors, once for each worker that is present.
        times: of the phases broadcast, compute, encode, gather and forge; the other phases are still to come.
        absent: the workers that were lost with their rank or failed, shape (m,).
    """

    inbox: Inbox
    bytes_up: int
    bytes_down: int
    times: RoundTimes
    absent: NDArray[np.bool_]


@dataclass(frozen=True)
class Audit:
    """The state of the honest objective at a point: `Σ w_i F_i / Σ w_i` over the workers' shards as they were dealt.

    The weights are all 1, or with `weigh = "rows"` the rows of the shards. All m shards count, also
    those of Byzantine workers, so that runs under different attacks are measured by the same
    function. `test_accuracy` is NaN where the loss or the data have none.
    """

    loss: float
    gradient_norm: float
    test_accuracy: float = nan


class Depleted(Exception):
    """More workers are Byzantine or absent than the rule is set for: its step could not be trusted."""


class Cluster(ABC):
    """The workers, as the center sees them.

    Where the MPI library survives the death of a rank, every call does: it is made again without that rank. The
    workers that lived there are absent from then on, or live on elsewhere (`on_failure = "adopt"`). A worker that
    fails is then absent as well, and its rank lives on.
    """

    @property
    def depleted(self) -> bool:
        """Whether more workers are lost than the rule bears; what comes of the other calls is then of those left."""
        return False

    @abstractmethod
    def ask(self, round: int, query: Query) -> Exchange:
        """Put `query` to every worker and collect one message of each.

        Raises:
            WorkerFault: a worker of this process raised; the run cannot go on.
            RankFault: a rank died, and the plan says `on_failure = "stop"`; so do the other calls but `dismiss`.
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
        """Smallest eigenvalue of the honest Hessian at `x`, outside the ledger; NaN where it is not finite."""

    @abstractmethod
    def residuals(self, round: int) -> Generator[Vector, None, None]:
        """What feedback kept for each worker before `round` was asked, in worker order, one at a time; to be closed.

        `round` is the next to be asked, or the last, if nothing came of it. Zeros for a worker that is absent.
        """

    @abstractmethod
    def restore(self, residuals: Iterable[Vector]) -> None:
        """Give the center back what `residuals` yielded at a checkpoint; the workers read their own."""

    @abstractmethod
    def dismiss(self, code: int) -> None:
        """Send everybody home; `code` becomes the exit code of every rank."""
