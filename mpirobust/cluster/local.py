"""Center and all workers in one process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from time import perf_counter
from typing import NoReturn

from mpirobust.algorithms.base import Query
from mpirobust.cluster.base import Audit, Cluster, Exchange
from mpirobust.cluster.curvature import power_iteration, smallest_eigenvalue
from mpirobust.cluster.host import Host, summarise
from mpirobust.cluster.placement import Placement
from mpirobust.cluster.reception import Reception
from mpirobust.cluster.world import World
from mpirobust.types import Vector


class LocalCluster(Cluster):
    """All workers on one host, called directly."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reception = Reception(host.orders, len(host.workers))

    def ask(self, round: int, query: Query) -> Exchange:
        began = perf_counter()
        batch = self._host.reply(round, query)
        spent = perf_counter() - began
        seconds = {
            "broadcast": 0.0,
            "compute": batch.compute,
            "encode": batch.encode,
            "gather": max(0.0, spent - batch.compute - batch.encode),
        }
        return self._reception.exchange(round, query, list(batch.messages), seconds)

    def audit(self, x: Vector) -> Audit:
        return summarise(self._host.scores(x), self._host.gradients(x), self._host.orders.weight())

    def smoothness(self, x: Vector) -> float:
        return power_iteration(self._hessian(x), x.size, self._host.orders.seed)

    def lambda_min(self, x: Vector) -> float:
        return smallest_eigenvalue(self._hessian(x), x.size, self._host.orders.seed)

    def _hessian(self, x: Vector) -> Callable[[Vector], Vector]:
        """Products with the mean Hessian of the workers at `x`."""
        weight = self._host.orders.weight()
        return lambda v: self._host.hessian_products(x, v).total() / weight

    def residuals(self, round: int) -> Generator[Vector, None, None]:
        if self._host.orders.feedback == "difference":
            yield from self._reception.states
        elif self._host.orders.feedback == "residual":
            kept = (worker.residual_before(round) for worker in self._host.workers)
            yield from (residual for residual in kept if residual is not None)

    def recall(self, residuals: Iterable[Vector]) -> None:
        self._reception.recall(residuals)

    def dismiss(self, code: int) -> None:
        pass


class LocalWorld(World):
    """A job of one process that needs no MPI."""

    number = 0
    survives = False

    @property
    def rank(self) -> int:
        return 0

    @property
    def size(self) -> int:
        return 1

    def broadcast(self, data: bytes) -> bytes:
        return data

    def gather(self, data: bytes) -> list[bytes]:
        return [data]

    def worst(self, code: int) -> tuple[int, int]:
        return 0, code

    def abort(self, code: int) -> None:
        sys.exit(code)

    def leave(self, code: int) -> NoReturn:
        sys.exit(code)

    def connect(self, host: Host, placement: Placement) -> Cluster | None:
        return LocalCluster(host)

    def serve(self, host: Host, placement: Placement) -> int:
        raise AssertionError("the only rank is the center")

    def versions(self) -> dict[str, str]:
        return {"mpi": "none"}
