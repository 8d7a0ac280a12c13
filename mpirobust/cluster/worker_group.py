"""The workers that one process hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Audit
from mpirobust.cluster.row_metrics import SUMS, TOLD, tell_rows
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.errors import WorkerFault
from mpirobust.numerics.exact_sum import ExactSum
from mpirobust.types import Vector

SCORES = 4  # columns of a worker in an audit: weighted loss, correct, test rows, seconds for a gradient that is kept
MOST_KEPT = 2**30  # bytes of gradients that a group keeps


@dataclass(frozen=True)
class Batch:
    """The messages of one group in worker order, and the seconds that computing and encoding them took."""

    messages: list[bytes]
    compute: float
    encode: float


@dataclass
class Gradients:
    """The gradients of some workers on their clean shards at one point; nothing depends on whether they are kept.

    Attributes:
        point: the point, as bytes.
        of: the gradient of each worker, by its number.
        nbytes: the size of all of them.
    """

    point: bytes = b""
    of: dict[int, Vector] = field(default_factory=dict)
    nbytes: int = 0

    def keep(self, worker: int, gradient: Vector) -> bool:
        """Keep the gradient and return True; return False if that would take too much memory."""
        if self.nbytes + gradient.nbytes > MOST_KEPT:
            return False
        self.of[worker] = gradient
        self.nbytes += gradient.nbytes
        return True

    def at(self, x: Vector) -> dict[int, Vector]:
        """Return the gradients at `x`, which are none if their point has other bits."""
        return self.of if self.of and self.point == x.tobytes() else {}


class WorkerGroup:
    """Some of the workers; one process has one group.

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

    def set_workers(self, workers: Sequence[int]) -> None:
        """Host these workers and no others.

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

    def reply(self, round: int, query: Query) -> Batch:
        """Return the message of every worker here; raise `WorkerFault` naming the one that failed."""
        messages = []
        compute = encode = 0.0
        known, self._audited = self._audited.at(query.vectors[0]), Gradients()
        for worker in self.workers:
            try:
                message, answering, encoding = worker.reply(round, query, known.pop(worker.index, None))
            except Exception as error:
                raise _fault(worker.index, f"failed in round {round + 1}", error) from error
            messages.append(message)
            compute += answering
            encode += encoding
        return Batch(messages, compute, encode)

    def audit(self, x: Vector) -> tuple[NDArray[np.float64], ExactSum]:
        """Return a row of scores for each worker here, and the weighted sum of their gradients, on clean shards.

        The gradients at `x` are kept for the answers of workers that are asked for them next.
        """
        table, total = np.zeros((len(self.workers), SCORES)), ExactSum(x.size)
        self._audited = kept = Gradients(x.tobytes())
        for row, worker in zip(table, self.workers, strict=True):
            with _blaming(worker.index, "failed in an audit"):
                began = perf_counter()
                value, gradient = self.config.loss.value_and_gradient(x, worker.clean)
                if worker.answers_audits and kept.keep(worker.index, gradient):
                    row[3] = perf_counter() - began
                weight = self._weight(worker)
                row[0] = weight * value
                total.add(gradient if weight == 1 else weight * gradient)
                if worker.test is not None:
                    metrics = self.config.loss.metrics(x, worker.test)
                    row[1:3] = metrics.get("correct", 0.0), metrics.get("rows", 0.0)
        return table, total

    def tested(self, x: Vector, by_row: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums of every worker here over its test rows, and with `by_row` its rows; see `measure`."""
        sums, told = np.zeros((len(self.workers), SUMS)), [np.empty((0, TOLD))]
        for row, worker in zip(sums, self.workers, strict=True):
            if worker.test is None:
                continue
            with _blaming(worker.index, "failed in an audit"):
                if by_row:
                    told.append(tell_rows(x, self.config.loss, worker.test))
                row[:] = worker.test.rows * self.config.loss.value(x, worker.test), worker.test.rows, len(told[-1])
        return sums, np.concatenate(told)

    def hessian_products(self, x: Vector, v: Vector) -> ExactSum:
        """Return the weighted sum of the workers' `∇²F_i(x) v` on their clean shards."""
        total = ExactSum(x.size)
        for worker in self.workers:
            with _blaming(worker.index, "failed in a Hessian product"):
                total.add(self._weight(worker) * self.config.loss.hessian(x, worker.clean)(v))
        return total

    def _weight(self, worker: Worker) -> np.float64:
        """Return w_i as a float64, so that a float32 gradient is not rounded again."""
        weight: np.float64 = self.config.weights[worker.index]
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
