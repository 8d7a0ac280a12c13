"""Center and all workers in one process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from time import perf_counter
from typing import Any

from mpirobust.aggregators.base import Judge
from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Audit, Cluster, Exchange
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.cluster.replay import Replay
from mpirobust.cluster.row_metrics import RowMetrics, measure
from mpirobust.cluster.worker_group import WorkerGroup, summarise
from mpirobust.numerics.eigenvalues import power_iteration, smallest_eigenvalue
from mpirobust.round_times import RoundTimes
from mpirobust.types import Held, Vector


class LocalCluster(Cluster):
    """All workers in one group, called directly."""

    def __init__(self, group: WorkerGroup) -> None:
        self._group = group
        self._receiver = RoundReceiver(group.config, len(group.workers))

    @property
    def attack_memory(self) -> Any:
        return self._receiver.attack_memory

    @property
    def held(self) -> Held:
        return self._receiver.downlink.held

    def coded(self, round: int, query: Query) -> Query:
        return self._receiver.downlink.coded(round, query)

    def ask(self, round: int, query: Query, judge: Judge) -> Exchange:
        began = perf_counter()
        batch = self._group.reply(round, query)
        spent = perf_counter() - began
        waited = max(0.0, spent - batch.compute - batch.encode)
        times = RoundTimes(compute=batch.compute, encode=batch.encode, gather=waited)
        return self._receiver.exchange(round, query, judge, list(batch.messages), times)

    def check_by(self, replay: Replay) -> None:
        self._receiver.replay = replay

    def audit(self, x: Vector) -> Audit:
        scores, gradients = self._group.audit(x)
        return summarise(scores, gradients, self._group.config.weight(), ahead=float(scores[:, -1].sum()))

    def row_metrics(self, x: Vector, by_row: bool) -> RowMetrics:
        return measure(*self._group.tested(x, by_row))

    def smoothness(self, x: Vector) -> float:
        return power_iteration(self._hessian(x), x.size, self._group.config.wire.seed)

    def lambda_min(self, x: Vector) -> float:
        return smallest_eigenvalue(self._hessian(x), x.size, self._group.config.wire.seed)

    def _hessian(self, x: Vector) -> Callable[[Vector], Vector]:
        """Return the product with the mean Hessian of the workers at `x`."""
        weight = self._group.config.weight()
        return lambda v: self._group.hessian_products(x, v).total() / weight

    def memory(self, name: str, round: int, at_worker: bool = False) -> Generator[Vector, None, None]:
        if name in self._receiver.memory and not at_worker:
            kept = self._receiver.memory[name]
            yield from (kept[group] for group in self._group.config.groups.of_all)
        else:
            yield from (worker.memory_before(round)[name] for worker in self._group.workers)

    def restore(self, name: str, rows: Iterable[Vector]) -> None:
        self._receiver.restore(name, rows)

    def forgets(self, worker: int) -> bool:
        return bool(self._receiver.forgotten[worker])

    def restore_forgotten(self, workers: Sequence[int]) -> None:
        self._receiver.forget(workers)

    def restore_attack(self, memory: Any) -> None:
        self._receiver.attack_memory = memory

    def dismiss(self, code: int) -> None:
        pass
