"""A job of one process, without MPI."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator, Survivors


class LocalCommunicator(Communicator):
    """One process, the root."""

    rank = number = 0
    size = 1
    numbers = (0,)
    survives = False

    def broadcast(self, buffer: NDArray[Any]) -> None:
        pass

    def gather(
        self,
        mine: NDArray[Any],
        into: NDArray[Any] | None = None,
        counts: NDArray[Any] | None = None,
        most: int = 0,
    ) -> None:
        if into is not None:
            into[:] = mine

    def gather_to_all(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[Any]) -> None:
        into[:] = mine

    def sum_to_root(self, parts: NDArray[np.int64]) -> None:
        pass

    def minimum(self, value: int) -> int:
        return value

    def send(self, vector: NDArray[Any]) -> None:
        raise AssertionError("the root sends nothing to itself")

    def receive(self, vector: NDArray[Any], rank: int) -> None:
        raise AssertionError("the root is the only rank")

    def confirm(self) -> None:
        pass

    def report_failed_worker(self, worker: int) -> None:
        raise AssertionError("there is no rank to report to")

    def recover(self) -> Survivors:
        raise AssertionError("the only rank cannot have survived another")

    def divided(self, size: int) -> tuple[Communicator, int]:
        return self, 0

    def abort(self, code: int) -> None:
        sys.exit(code)

    def leave(self, code: int) -> NoReturn:
        sys.exit(code)

    def versions(self) -> dict[str, str]:
        return {"mpi": "none"}
