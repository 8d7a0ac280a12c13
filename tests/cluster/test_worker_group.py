"""The workers of one process: who lives there, and who is named where one fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mpirobust.cluster.worker import Worker
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.errors import WorkerFault
from mpirobust.testing.support.clusters import LocalRun, regression_plan


def group_of(local: LocalRun, unreadable: int = -1) -> WorkerGroup:
    """Workers 0 and 1, and the others in reserve."""

    def recruit(indices: Sequence[int]) -> Iterator[Worker]:
        for index in indices:
            if index == unreadable:
                raise OSError("Input/output error")
            yield local.workers[index]

    return WorkerGroup(local.config, local.workers[:2], recruit)


def test_who_lives_on_keeps_what_it_has_and_others_move_in_or_out() -> None:
    local = LocalRun(regression_plan())
    group = group_of(local)
    group.set_workers([1, 3, 5])
    assert [worker.index for worker in group.workers] == [1, 3, 5]
    assert group.workers[0] is local.workers[1]


def test_the_one_whose_rows_cannot_be_read_is_named() -> None:
    group = group_of(LocalRun(regression_plan()), unreadable=4)
    with pytest.raises(WorkerFault, match="worker 4 cannot move here: OSError: Input/output error") as caught:
        group.set_workers([0, 1, 3, 4, 5])
    assert caught.value.worker == 4
