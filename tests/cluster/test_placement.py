"""Which rank hosts which workers."""

from __future__ import annotations

from itertools import chain

import pytest

from mpirobust.cluster.placement import assign_workers
from mpirobust.errors import SetupFault


@pytest.mark.parametrize("workers", [1, 7, 20, 200])
def test_every_worker_has_one_rank_and_ranks_have_alike_many(workers: int) -> None:
    assert assign_workers(workers, 1) == [range(workers)]
    for size in range(2, workers + 2):
        placement = assign_workers(workers, size)
        hosted = [len(each) for each in placement]
        assert len(placement) == size
        assert hosted[0] == 0  # the center
        assert 1 <= min(hosted[1:]) <= max(hosted[1:]) <= min(hosted[1:]) + 1
        assert list(chain(*placement)) == list(range(workers))


def test_a_rank_without_a_worker_is_refused() -> None:
    with pytest.raises(SetupFault, match=r"9 ranks for 7 workers: at most 8 fit"):
        assign_workers(7, 9)
