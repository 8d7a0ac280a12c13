"""The assignment of workers to ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from mpirobust.comm.communicator import Survivors
from mpirobust.errors import SetupFault

Placement: TypeAlias = Sequence[Sequence[int]]  # the workers of each rank, ascending


def assign_workers(workers: int, size: int) -> Placement:
    """Return the workers of each rank, contiguous.

    One rank hosts all of them; otherwise rank 0 is the center and hosts none,
    and the others differ by at most one worker.

    Raises:
        SetupFault: there are more ranks than the center and one for each worker.
    """
    if size == 1:
        return [range(workers)]
    if size > workers + 1:
        raise SetupFault(
            f"{size} ranks for {workers} workers: at most {workers + 1} fit (the center and one rank per worker); "
            f"start fewer ranks or raise `workers`"
        )
    ranks = size - 1
    cuts = [rank * workers // ranks for rank in range(ranks + 1)]
    return [range(0), *(range(cuts[rank], cuts[rank + 1]) for rank in range(ranks))]


def reassign(placement: Placement, survivors: Survivors, adopt: bool) -> Placement:
    """Return the workers of each surviving rank. A worker that failed is hosted nowhere, with `adopt` either.

    With `adopt`, the workers of failed ranks go one by one to the first of the ranks that host the fewest; the center
    hosts none.
    """
    mine = [[worker for worker in placement[rank] if worker != survivors.failed_worker] for rank in survivors.ranks]
    if adopt and len(mine) > 1:
        for worker in displaced(placement, survivors):
            if worker != survivors.failed_worker:
                min(mine[1:], key=len).append(worker)
    return [sorted(workers) for workers in mine]


def displaced(placement: Placement, survivors: Survivors) -> list[int]:
    """Return the workers of the ranks that failed, ascending."""
    lost = (workers for rank, workers in enumerate(placement) if rank not in survivors.ranks)
    return sorted(worker for workers in lost for worker in workers)
