"""Which rank hosts which workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from mpirobust.comm.communicator import Survivors
from mpirobust.errors import SetupFault

Placement: TypeAlias = Sequence[Sequence[int]]  # the workers of each rank, ascending


def assign_workers(workers: int, size: int) -> Placement:
    """The workers of each rank, contiguous.

    One rank hosts all of them; otherwise rank 0 is the center and hosts none,
    and the others differ by at most one worker.

    Raises:
        SetupFault: more ranks than the center and one for each worker.
    """
    if size == 1:
        return [range(workers)]
    if size > workers + 1:
        raise SetupFault(
            f"{size} ranks for {workers} workers: at most {workers + 1} fit (the center and one rank per worker); "
            f"start fewer ranks or raise `workers`"
        )
    hosts = size - 1
    cuts = [host * workers // hosts for host in range(hosts + 1)]
    return [range(0), *(range(cuts[host], cuts[host + 1]) for host in range(hosts))]


def reassign(placement: Placement, survivors: Survivors, adopt: bool) -> Placement:
    """The workers of each rank that is left; nobody hosts one that failed any more, with `adopt` either.

    With `adopt`, workers of the dead go one by one to the first of those that host the fewest; the center hosts none.
    """
    mine = [[worker for worker in placement[rank] if worker != survivors.failed_worker] for rank in survivors.ranks]
    if adopt and len(mine) > 1:
        for worker in displaced(placement, survivors):
            if worker != survivors.failed_worker:
                min(mine[1:], key=len).append(worker)
    return [sorted(workers) for workers in mine]


def displaced(placement: Placement, survivors: Survivors) -> list[int]:
    """The workers of the ranks that died, ascending."""
    gone = (workers for rank, workers in enumerate(placement) if rank not in survivors.ranks)
    return sorted(worker for workers in gone for worker in workers)
