"""Ranks that are threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator, Survivors

T = TypeVar("T")


def together(size: int, program: Callable[[Communicator], T]) -> list[T]:
    """Run `program` on so many ranks and return what it returns on each; raise if it raises on one."""
    board = _Board(size)

    def of(rank: int) -> T:
        try:
            return program(ThreadCommunicator(rank, board))
        except BaseException:
            board.barrier.abort()  # nobody waits for this rank
            raise

    with ThreadPoolExecutor(size) as pool:
        ranks = [pool.submit(of, rank) for rank in range(size)]
    errors = [each.exception() for each in ranks]
    for error in errors:
        if error is not None and not isinstance(error, BrokenBarrierError):  # which those raise that waited for it
            raise error
    return [each.result() for each in ranks]


class _Board:
    """The items of all ranks in a collective call."""

    def __init__(self, size: int) -> None:
        self.barrier = Barrier(size)
        self.slots: list[Any] = [None] * size


class Undying(Communicator):
    """The calls of ranks that only compute: none of them dies, and none sends to another alone."""

    survives = False

    def confirm(self) -> None:
        pass

    def send(self, vector: NDArray[Any]) -> None:
        _refuse()

    def receive(self, vector: NDArray[Any], rank: int) -> None:
        _refuse()

    def report_failed_worker(self, worker: int) -> None:
        _refuse()

    def recover(self) -> Survivors:
        _refuse()

    def divided(self, size: int) -> tuple[Communicator, int]:
        _refuse()

    def abort(self, code: int) -> None:
        _refuse()

    def leave(self, code: int) -> NoReturn:
        _refuse()

    def versions(self) -> dict[str, str]:
        return {}


def _refuse() -> NoReturn:
    raise AssertionError("a call for ranks that may die, or for two alone")


class ThreadCommunicator(Undying):
    """One of the ranks."""

    def __init__(self, rank: int, board: _Board) -> None:
        self.rank = self.number = rank
        self.size = len(board.slots)
        self.numbers = range(self.size)
        self._board = board

    def _all(self, mine: T) -> list[T]:
        self._board.slots[self.rank] = mine
        self._board.barrier.wait()
        everything = list(self._board.slots)
        self._board.barrier.wait()
        return everything

    def broadcast(self, buffer: NDArray[Any]) -> None:
        buffer[...] = self._all(buffer.copy())[0]

    def gather(
        self,
        mine: NDArray[Any],
        into: NDArray[Any] | None = None,
        counts: NDArray[Any] | None = None,
        most: int = 0,
    ) -> None:
        everything = self._all(mine)
        if self.is_root and into is not None and counts is not None:
            assert [each.size for each in everything] == list(counts)
            into[...] = np.concatenate(everything).reshape(into.shape)

    def gather_to_all(self, mine: NDArray[Any], into: NDArray[Any], counts: NDArray[Any]) -> None:
        everything = self._all(mine)
        assert [each.size for each in everything] == list(counts)
        into[...] = np.concatenate(everything).reshape(into.shape)

    def sum_to_root(self, parts: NDArray[np.int64]) -> None:
        total = sum(self._all(parts.copy()))
        if self.is_root:
            parts[...] = total

    def minimum(self, value: int) -> int:
        return min(self._all(value))

    def confirm(self) -> None:
        self._all(None)


def raised(work: Callable[[], object]) -> Exception:
    """Return what `work` raises."""
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def one_of_all(values: Sequence[T]) -> T:
    """Return the one value that all ranks have."""
    assert all(value == values[0] for value in values), values
    return values[0]
