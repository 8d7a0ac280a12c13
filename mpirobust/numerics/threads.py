"""Work side by side in the threads of this process. Results are in the order of the items: threads change no bit.

NumPy, SciPy and the compiled loops release the interpreter lock only while they compute, so that much small work takes
longer in several threads than in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mpirobust.numerics import blas

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

_number = 1
_pool: ThreadPoolExecutor | None = None


def use(number: int) -> None:
    """Use so many threads in this process from now on, the calling one included."""
    global _number, _pool
    if _pool is not None and number != _number:
        _pool.shutdown()
        _pool = None
    _number = number


def in_use() -> int:
    """Return the number of threads in use."""
    return _number


def each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return the results of `work` for each item, in order. Only one thread of the process may call it at a time.

    Raises:
        Exception: that of the first item that failed, when no thread works any more. Later ones may have been done.
    """
    helpers = min(_number, len(items)) - 1
    if helpers < 1:
        return [work(item) for item in items]
    results: list[Any] = [None] * len(items)
    failed: dict[int, BaseException] = {}
    lock, turns = Lock(), iter(range(len(items)))

    def some() -> None:
        while not failed:
            with lock:
                at = next(turns, None)
            if at is None:
                return
            try:
                results[at] = work(items[at])
            except BaseException as error:
                failed[at] = error

    helping = [_helpers().submit(_as_here(some)) for _ in range(helpers)]
    try:
        some()
    finally:  # also after a signal that raises between two items
        with lock:
            turns = iter(())
        for helper in helping:
            helper.result()
    if failed:
        raise failed[min(failed)]  # every earlier item was begun before it
    return results


def _helpers() -> ThreadPoolExecutor:
    """Return the other threads. Some libraries limit the threads of BLAS for each thread that calls it."""
    global _pool
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor  # slow to import, and many ranks have one thread

        _pool = ThreadPoolExecutor(_number - 1, "mpirobust", initializer=blas.limit_threads)
    return _pool


def _as_here(work: Callable[[], None]) -> Callable[[], None]:
    """Return `work` with NumPy's handling of overflow as it is here: other threads have their own."""
    settings = np.geterr()

    def worked() -> None:
        with np.errstate(**settings):
            work()

    return worked
