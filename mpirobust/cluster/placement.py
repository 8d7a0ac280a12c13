"""Which rank hosts which workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from mpirobust.errors import SetupFault

Placement: TypeAlias = Sequence[Sequence[int]]  # the workers of each rank, ascending


def hosted(workers: int, size: int) -> Placement:
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


def rehomed(placement: Placement, left: Sequence[int], adopt: bool) -> Placement:
    """The workers of each rank in `left`, the ranks of `placement` that have not died.

    With `adopt`, lost workers go one by one to whoever hosts the fewest; the center hosts none.
    """
    mine = [list(placement[rank]) for rank in left]
    if adopt and len(mine) > 1:
        for worker in lost(placement, left):
            min(mine[1:], key=len).append(worker)
    return [sorted(workers) for workers in mine]


def lost(placement: Placement, left: Sequence[int]) -> list[int]:
    """The workers of the ranks that are not in `left`, ascending."""
    return sorted(worker for rank, workers in enumerate(placement) if rank not in left for worker in workers)
