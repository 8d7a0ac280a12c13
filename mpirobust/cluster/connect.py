"""Makes a cluster from a communicator."""

from __future__ import annotations

from mpirobust.cluster.base import Cluster
from mpirobust.cluster.placement import Placement
from mpirobust.cluster.protocol import expect_carried
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.comm.communicator import Communicator


def connect(comm: Communicator, group: WorkerGroup, placement: Placement) -> Cluster | None:
    """Return the cluster on the root, None on the other ranks, which then call `worker_loop.serve`.

    Each rank imports its own end.

    Raises:
        SetupFault: the header of a coded query cannot say how long it is.
    """
    if comm.size == 1:
        from mpirobust.cluster.local import LocalCluster

        return LocalCluster(group)
    expect_carried(group.config.downlink, group.config.algorithm.vectors_down())
    if not comm.is_root:
        return None
    from mpirobust.cluster.remote import RemoteCluster

    return RemoteCluster(comm, group.config, placement)
