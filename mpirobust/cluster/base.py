"""The workers, as the center sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import Judge
from mpirobust.algorithms.base import Query
from mpirobust.answers import Answers
from mpirobust.cluster.groups import Groups
from mpirobust.cluster.row_metrics import RowMetrics
from mpirobust.round_times import RoundTimes
from mpirobust.types import Held, Vector

if TYPE_CHECKING:
    from mpirobust.cluster.replay import Replay

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Exchange:
    """One answered query.

    Attributes:
        answers: the input of the rule, one for each group of workers; that of an absent group is never sound.
        bytes_up: the lengths of the messages of all workers summed; a forged message counts with its own length.
        bytes_down: the header and the vectors, once for each worker that is present.
        times: of the phases broadcast, compute, encode, gather and forge; the later phases are still 0.
        absent: the workers that were lost with their rank or failed, shape (m,).
        reset: the workers whose feedback began at zero in this round because its memory was lost, shape (m,).
        outvoted: the workers whose message is not that of a majority of their group, shape (m,): all that have answered
            if there is none, and the group counts as absent in this round.
        replayed: the workers whose message the center has computed again, shape (m,).
        refuted: those of them that have sent something else, shape (m,).
        groups: the workers of each answer; with `redundancy` = 1 each answer is that of one worker.
        strength: how far an omniscient attacker went; NaN without one, or if no number says so.
    """

    answers: Answers
    bytes_up: int
    bytes_down: int
    times: RoundTimes
    absent: NDArray[np.bool_]
    reset: NDArray[np.bool_]
    outvoted: NDArray[np.bool_]
    replayed: NDArray[np.bool_]
    refuted: NDArray[np.bool_]
    groups: Groups
    strength: float = nan

    def of_workers(self, of_groups: NDArray[T], otherwise: Any) -> NDArray[T]:
        """Return for each worker what is so of its group, shape (m,); `otherwise` if its message was not taken."""
        return np.where(self.absent | self.outvoted, otherwise, of_groups[self.groups.of_all])


@dataclass(frozen=True)
class Audit:
    """The state of the honest objective at a point: `Σ w_i F_i / Σ w_i` over the workers' shards as they were dealt.

    The weights are all 1, or with `weigh = "rows"` the rows of the shards. The sums are over all workers that are not
    absent; the shard of a group counts once. Byzantine workers count as well, so that runs under different attacks are
    measured by the same function. `test_accuracy` is NaN if the loss or the data have none. `ahead` is the part of the
    audit's time, in seconds of the slowest rank, that a query at the same point saves: the gradients that are its
    answers.
    """

    loss: float
    gradient_norm: float
    test_accuracy: float = nan
    ahead: float = field(default=0.0, compare=False)


class Depleted(Exception):
    """More workers are Byzantine or absent than the rule is set for, so its step cannot be trusted."""


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
        """The memory of an omniscient attacker after the last round; None if it has none."""

    @property
    @abstractmethod
    def held(self) -> Held:
        """The vectors that the workers hold of a coded way down after the last round; empty without one."""

    @abstractmethod
    def forgets(self, worker: int) -> bool:
        """Return whether the worker's memory of the feedback was lost and is zero before the next round."""

    @abstractmethod
    def coded(self, round: int, query: Query) -> Query:
        """Return `query` as the workers will have it: with a coded way down, other vectors, and the messages that tell.

        Nothing is sent.
        """

    @abstractmethod
    def ask(self, round: int, query: Query, judge: Judge) -> Exchange:
        """Put `query` to every worker and collect one message of each.

        Args:
            query: as `coded` returned it.
            judge: the rule bound to this round; an omniscient attacker may call it.

        Raises:
            WorkerFault: a worker of this process raised; the run cannot continue.
            RankFault: a rank failed, and the plan says `on_failure = "stop"`. All calls but `dismiss` may raise it.
            ReportedFault: a worker failed on another rank, and the plan says the same.
            Depleted: too many workers are lost; the query has no effect.
        """

    @abstractmethod
    def check_by(self, replay: Replay) -> None:
        """Compare some messages of every round with `replay`, which has to be the same at every start of the run."""

    @abstractmethod
    def audit(self, x: Vector) -> Audit:
        """Evaluate the honest objective at `x`, outside the ledger."""

    @abstractmethod
    def row_metrics(self, x: Vector, by_row: bool) -> RowMetrics:
        """Evaluate the model `x` on the test rows, outside the ledger.

        Args:
            by_row: whether the center needs the scores of all rows, for more than the mean loss.
        """

    @abstractmethod
    def smoothness(self, x: Vector) -> float:
        """See `algorithms.base.Terrain`."""

    @abstractmethod
    def lambda_min(self, x: Vector) -> float:
        """Return the smallest eigenvalue of the honest Hessian at `x`, outside the ledger; NaN if it is not finite."""

    @abstractmethod
    def memory(self, name: str, round: int, at_worker: bool = False) -> Generator[Vector, None, None]:
        """Yield a memory of the feedback as it was before `round`, one worker at a time, in worker order.

        Each vector has shape (d,), float64, and is zero if it is lost (`forgets`). It is valid until the next one is
        requested: they may share a buffer. Close the generator before the next call of the cluster.

        Args:
            round: the next to be asked, or the last if it was discarded.
            at_worker: the workers' half even if the center keeps one.

        Raises:
            Depleted: too many workers are lost, and their memory with them.
        """

    @abstractmethod
    def restore(self, name: str, rows: Iterable[Vector]) -> None:
        """Restore the center's half of a feedback from the rows that `memory` yielded; the workers read their own."""

    @abstractmethod
    def restore_forgotten(self, workers: Sequence[int]) -> None:
        """Note that the memory of these workers had been lost before it was restored from a checkpoint."""

    @abstractmethod
    def restore_attack(self, memory: Any) -> None:
        """Restore the memory of an omniscient attacker from a checkpoint."""

    def silent(self) -> Sequence[int]:
        """Return the launcher's numbers of ranks whose part of the call under way is missing, ascending.

        Only the first is certain: MPI may receive in rank order. A broadcast and a reduction name nobody. Another
        thread calls it while the call is blocked.
        """
        return ()

    @abstractmethod
    def dismiss(self, code: int) -> None:
        """Dismiss all workers; `code` becomes the exit code of every rank."""
