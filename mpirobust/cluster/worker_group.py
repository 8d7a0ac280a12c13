"""The workers that one process hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_ident
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Audit
from mpirobust.cluster.row_metrics import SUMS, TOLD, tell_rows
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.errors import WorkerFault
from mpirobust.numerics import threads
from mpirobust.numerics.exact_sum import ExactSum
from mpirobust.types import Vector

SCORES = 4  # columns of a worker in an audit: weighted loss, correct, test rows, seconds for a gradient that is kept
_MUCH = 20_000_000  # multiplications of a gradient; benchmarks/threads.json has plans on both sides
MOST_KEPT = 2**30  # bytes of the gradients that a group keeps


@dataclass(frozen=True)
class Batch:
    """The messages of one group in worker order.

    Attributes:
        compute, encode: seconds, the sum over the workers divided by the threads at work.
    """

    messages: list[bytes]
    compute: float
    encode: float


@dataclass(frozen=True)
class Gradients:
    """The gradients of some workers on their clean shards at one point; no result depends on whether they are kept.

    Attributes:
        point: the point, as bytes.
        of: the gradient of each worker, by its number.
    """

    point: bytes = b""
    of: dict[int, Vector] = field(default_factory=dict)

    def at(self, x: Vector) -> dict[int, Vector]:
        """Return the gradients at `x`, which are none if their point has other bits."""
        return self.of if self.of and self.point == x.tobytes() else {}


class _Sums:
    """An exact sum for each thread: no matter who adds what, the sum of all is the same."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._of: dict[int, ExactSum] = {}

    def mine(self) -> ExactSum:
        """Return the sum of the calling thread."""
        me = get_ident()
        if me not in self._of:
            self._of[me] = ExactSum(self._dim)
        return self._of[me]

    def total(self) -> ExactSum:
        """Return the sum over all threads; none of them is at work any more."""
        first, *others = self._of.values() or [ExactSum(self._dim)]
        for other in others:
            first.parts += other.parts
        return first


class WorkerGroup:
    """Some of the workers; one process has one group. Threads work on whole workers side by side.

    Args:
        workers: in worker order.
        build_more: `indices -> workers` in their state before the first round; each is built when it is requested.
    """

    def __init__(
        self, config: WorkerConfig, workers: Sequence[Worker], build_more: Callable[[Sequence[int]], Iterable[Worker]]
    ) -> None:
        self.config = config
        self.workers = workers
        self._build_more = build_more
        self._audited = Gradients()
        self._counted = config.groups.firsts(range(config.groups.workers))

    def works(self) -> bool:
        """Return whether a gradient here takes so many operations that threads pay."""
        worker = max(self.workers, key=lambda each: each.clean.rows, default=None)
        if worker is None:
            return False
        X = worker.clean.X
        entries = X.nnz if hasattr(X, "nnz") else X.size
        return bool(entries * self.config.wire.dim > _MUCH * X.shape[1])

    def set_workers(self, workers: Sequence[int], everywhere: Iterable[int]) -> None:
        """Host these workers and no others.

        Args:
            everywhere: the workers of all ranks. In audits the first worker of each group stands for its rows.

        Raises:
            WorkerFault: the rows of a new one cannot be read.
        """
        here = {worker.index: worker for worker in self.workers}
        wanted = [index for index in workers if index not in here]
        new = iter(self._build_more(wanted))
        for index in wanted:
            with _blaming(index, "cannot move here"):
                here[index] = next(new)
        self.workers = [here[index] for index in workers]
        self._counted = self.config.groups.firsts(everywhere)

    def reply(self, round: int, query: Query) -> Batch:
        """Return the message of every worker here; raise `WorkerFault` naming the first that failed."""
        known, self._audited = self._audited.at(query.vectors[0]), Gradients()

        def replied(worker: Worker) -> tuple[bytes, float, float]:
            with _blaming(worker.index, f"failed in round {round + 1}"):
                return worker.reply(round, query, known.pop(worker.index, None))

        done = threads.each(replied, self.workers)
        share = self._side_by_side()
        compute = sum(answering for _, answering, _ in done) / share
        return Batch([message for message, _, _ in done], compute, sum(encoding for *_, encoding in done) / share)

    def audit(self, x: Vector) -> tuple[NDArray[np.float64], ExactSum]:
        """Return a row of scores for each worker here, and the weighted sum of their gradients, on clean shards.

        The rows of a group count once. The gradients at `x` are kept for the workers that are asked for them next.
        """
        table = np.zeros((len(self.workers), SCORES))
        self._audited = kept = Gradients(x.tobytes())
        sums = _Sums(x.size)

        def audited(at: int) -> None:
            row, worker = table[at], self.workers[at]
            counts = worker.index in self._counted
            if not (counts or worker.answers_audits):
                return
            with _blaming(worker.index, "failed in an audit"):
                began = perf_counter()
                value, gradient = self.config.loss.value_and_gradient(x, worker.clean)
                if worker.answers_audits and (at + 1) * gradient.nbytes <= MOST_KEPT:
                    kept.of[worker.index] = gradient
                    row[3] = (perf_counter() - began) / self._side_by_side()
                if not counts:
                    return
                weight = self._weight(worker)
                row[0] = weight * value
                sums.mine().add(gradient if weight == 1 else weight * gradient)
                if worker.test is not None:
                    metrics = self.config.loss.metrics(x, worker.test)
                    row[1:3] = metrics.get("correct", 0.0), metrics.get("rows", 0.0)

        threads.each(audited, range(len(self.workers)))
        return table, sums.total()

    def tested(self, x: Vector, by_row: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums of every worker here over its test rows, and with `by_row` its rows; see `measure`."""
        loss = self.config.loss

        def measured(worker: Worker) -> tuple[tuple[float, int, int], NDArray[np.float64]]:
            told = np.empty((0, TOLD))
            if worker.test is None or worker.index not in self._counted:
                return (0.0, 0, 0), told
            with _blaming(worker.index, "failed in an audit"):
                if by_row:
                    told = tell_rows(x, loss, worker.test)
                return (worker.test.rows * loss.value(x, worker.test), worker.test.rows, len(told)), told

        done = threads.each(measured, self.workers)
        sums = np.array([each[0] for each in done], np.float64).reshape(-1, SUMS)
        return sums, np.concatenate([np.empty((0, TOLD)), *(each[1] for each in done)])

    def hessian_products(self, x: Vector, v: Vector) -> ExactSum:
        """Return the weighted sum of the workers' `∇²F_i(x) v` on their clean shards."""
        sums = _Sums(x.size)

        def multiplied(worker: Worker) -> None:
            if worker.index not in self._counted:
                return
            with _blaming(worker.index, "failed in a Hessian product"):
                sums.mine().add(self._weight(worker) * self.config.loss.hessian(x, worker.clean)(v))

        threads.each(multiplied, self.workers)
        return sums.total()

    def _side_by_side(self) -> int:
        """Return how many workers are at work at once: the seconds of each are shared by these."""
        return max(1, min(threads.in_use(), len(self.workers)))

    def _weight(self, worker: Worker) -> np.float64:
        """Return w_i as a float64, so that a float32 gradient is not rounded again."""
        weight: np.float64 = self.config.weights[self.config.groups.of(worker.index)]
        return weight


@contextmanager
def _blaming(worker: int, how: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _fault(worker, how, error) from error


def _fault(worker: int, how: str, error: Exception) -> WorkerFault:
    return WorkerFault(worker, f"{how}: {type(error).__name__}: {error}")


def summarise(scores: NDArray[np.float64], gradients: ExactSum, weight: float, ahead: float) -> Audit:
    """Return the audit; `ahead` is in it.

    Args:
        scores: shape (m, SCORES), in worker order; zeros for an absent worker.
        gradients, weight: the weighted sum of the gradients, and the sum of the weights, over the other workers.
    """
    loss, correct, rows, _ = scores.sum(axis=0)
    gradient = gradients.total() / weight
    return Audit(
        loss=float(loss / weight),
        gradient_norm=float(np.sqrt(gradient @ gradient)),
        test_accuracy=float(correct / rows) if rows else np.nan,
        ahead=ahead,
    )
