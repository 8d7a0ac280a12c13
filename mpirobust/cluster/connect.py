"""Makes a cluster from a communicator."""

from __future__ import annotations

from mpirobust.cluster.base import Cluster
from mpirobust.cluster.local import LocalCluster
from mpirobust.cluster.placement import Placement
from mpirobust.cluster.protocol import HEADER, LENGTH, SECONDS
from mpirobust.cluster.remote import RemoteCluster
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.comm.communicator import Communicator
from mpirobust.errors import SetupFault

_MOST_BYTES = 2**31 - 1  # of one call: MPI-3 counts are 32-bit


def connect(comm: Communicator, group: WorkerGroup, placement: Placement) -> Cluster | None:
    """Return the cluster on the root, None on the other ranks, which then call `worker_loop.serve`.

    Raises:
        SetupFault: the messages of a round do not fit into one gather, or a query not into one broadcast.
    """
    if comm.size == 1:
        return LocalCluster(group)
    workers, limit = sum(map(len, placement)), group.config.message_limit()
    if workers * (limit + 1) + comm.size * SECONDS.itemsize > _MOST_BYTES:
        raise SetupFault(
            f"{workers} messages of up to {limit} bytes exceed the {_MOST_BYTES} bytes that one gather carries; "
            f"use fewer workers or a compressor with shorter messages"
        )
    if HEADER.itemsize + 8 * group.config.dim > _MOST_BYTES:  # the largest call of one vector; sums are fewer items
        raise SetupFault(
            f"vectors of {group.config.dim} numbers exceed the {_MOST_BYTES} bytes that one broadcast carries; "
            f"run in one process"
        )
    vectors = group.config.algorithm.vectors_down()
    if group.config.downlink.max_nbytes(vectors) + vectors * LENGTH.itemsize > _MOST_BYTES:
        raise SetupFault(f"[downlink]: the messages may exceed the {_MOST_BYTES} bytes that one broadcast carries")
    return RemoteCluster(comm, group.config, placement) if comm.is_root else None
