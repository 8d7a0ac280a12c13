"""The workers of one process: who lives there, and who is named where one fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mpirobust.cluster.host import Host
from mpirobust.errors import WorkerFault
from mpirobust.worker import Worker
from tests.teams import Team, regression_plan


def host_of(team: Team, unreadable: int = -1) -> Host:
    """Workers 0 and 1, and the others in reserve."""

    def recruit(indices: Sequence[int]) -> Iterator[Worker]:
        for index in indices:
            if index == unreadable:
                raise OSError("Input/output error")
            yield team.workers[index]

    return Host(team.orders, team.workers[:2], recruit)


def test_who_lives_on_keeps_what_it_has_and_others_move_in_or_out() -> None:
    team = Team(regression_plan())
    host = host_of(team)
    host.house([1, 3, 5])
    assert [worker.index for worker in host.workers] == [1, 3, 5]
    assert host.workers[0] is team.workers[1]


def test_the_one_whose_rows_cannot_be_read_is_named() -> None:
    host = host_of(Team(regression_plan()), unreadable=4)
    with pytest.raises(WorkerFault, match="worker 4 cannot move here: OSError: Input/output error") as caught:
        host.house([0, 1, 3, 4, 5])
    assert caught.value.worker == 4
