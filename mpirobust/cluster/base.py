"""All that the center may do to the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from math import nan

from mpirobust.algorithms.base import Query
from mpirobust.inbox import Inbox
from mpirobust.types import Vector


@dataclass(frozen=True)
class Exchange:
    """One answered query.

    Attributes:
        inbox: the messages.
        bytes_up: their lengths summed; a forged message counts with its own length.
        bytes_down: what every worker was sent, times m: the header and the vectors.
        seconds: of the phases broadcast, compute, encode, gather and forge. Compute
            and encode are those of the slowest rank; gather is what the center
            waited beyond them; forge is what an omniscient attacker took.
    """

    inbox: Inbox
    bytes_up: int
    bytes_down: int
    seconds: Mapping[str, float]


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


class Cluster(ABC):
    """The workers, as the center sees them."""

    @abstractmethod
    def ask(self, round: int, query: Query) -> Exchange:
        """Put `query` to every worker and collect one message of each.

        Raises:
            WorkerFault: a worker raised; the run cannot go on.
        """

    @abstractmethod
    def audit(self, x: Vector) -> Audit:
        """Evaluate the honest objective at `x`, outside the ledger."""

    @abstractmethod
    def smoothness(self, x: Vector) -> float:
        """See `algorithms.base.Terrain`."""

    @abstractmethod
    def lambda_min(self, x: Vector) -> float:
        """Smallest eigenvalue of the honest Hessian at `x`, outside the ledger; NaN where it is not finite."""

    @abstractmethod
    def residuals(self) -> Generator[Vector, None, None]:
        """What feedback keeps for each worker (`Worker.residual`), in worker order, one at a time; to be closed."""

    @abstractmethod
    def recall(self, residuals: Iterable[Vector]) -> None:
        """Give the center back what `residuals` yielded at a checkpoint; the workers read their own."""

    @abstractmethod
    def dismiss(self, code: int) -> None:
        """Send everybody home; `code` becomes the exit code of every rank."""
