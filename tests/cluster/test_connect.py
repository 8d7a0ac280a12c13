"""What one MPI call carries."""

from __future__ import annotations

import pytest

from mpirobust.cluster import connect as module
from mpirobust.cluster.protocol import HEADER, SECONDS
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.comm.local import LocalCommunicator
from mpirobust.errors import SetupFault
from mpirobust.testing.support.clusters import LocalRun, regression_plan


class _OneOfThree(LocalCommunicator):
    """Rank 1 of three: it only computes what fits."""

    rank, size = 1, 3


@pytest.mark.parametrize(("compressor", "largest"), [("identity", "one gather"), ("sign", "one broadcast")])
def test_what_one_call_cannot_carry_is_refused(compressor: str, largest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long messages make the gather the largest call, and short ones the broadcast of a point."""
    data = {"kind": "regression", "rows": 60, "features": 200}
    local = LocalRun(regression_plan(compressor={"kind": compressor}, data=data))
    group = WorkerGroup(local.config, local.workers[:3], lambda _: [])
    placement: list[list[int]] = [[], [0, 1, 2], [3, 4, 5]]
    up = 6 * (local.config.message_limit() + 1) + 3 * SECONDS.itemsize
    limit = max(up, HEADER.itemsize + 8 * local.config.dim)
    monkeypatch.setattr(module, "_MOST_BYTES", limit)
    assert module.connect(_OneOfThree(), group, placement) is None
    monkeypatch.setattr(module, "_MOST_BYTES", limit - 1)
    with pytest.raises(SetupFault, match=largest):
        module.connect(_OneOfThree(), group, placement)


def test_a_way_down_that_one_broadcast_cannot_carry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRun(regression_plan(downlink={"kind": "sketch", "rows": 4, "columns": 500}))
    group = WorkerGroup(local.config, local.workers, lambda _: [])
    limit = 4 + local.config.downlink.max_nbytes(1)
    monkeypatch.setattr(module, "_MOST_BYTES", limit)
    assert module.connect(_OneOfThree(), group, [[], [0, 1, 2], [3, 4, 5]]) is None
    monkeypatch.setattr(module, "_MOST_BYTES", limit - 1)
    with pytest.raises(SetupFault, match=r"^\[downlink\]: the messages may exceed"):
        module.connect(_OneOfThree(), group, [[], [0, 1, 2], [3, 4, 5]])
