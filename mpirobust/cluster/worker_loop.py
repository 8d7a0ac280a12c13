"""The worker side of the protocol: execute commands until dismissed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np

from mpirobust.algorithms.base import Query
from mpirobust.cluster.placement import Placement, reassign
from mpirobust.cluster.protocol import Channel, Command, Header, most_up
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.comm.communicator import Communicator, CommunicatorRevoked
from mpirobust.errors import WorkerFault
from mpirobust.terminal import say
from mpirobust.types import Vector


def serve(comm: Communicator, group: WorkerGroup, placement: Placement, feed: Callable[[], None] = lambda: None) -> int:
    """Execute the commands of the center until it dismisses the workers; return the exit code.

    If a rank or a worker fails, the center repeats its command, and every rank recomputes `placement`, the workers of
    each rank, locally: the computation is deterministic.

    Args:
        feed: called at every command.

    Raises:
        RankFault: the center failed; raised on one rank.
        ReportedFault: the same on the other ranks; or the center is ending, with its exit code.
        WorkerFault: a worker failed here, and the MPI library does not survive a rank failure.
    """
    while True:
        try:
            group.set_workers(placement[comm.rank], chain(*placement))
            return _until_dismissed(comm, group, feed)
        except WorkerFault as fault:
            if not comm.survives:
                raise
            say(f"mpirobust: {fault}")
            comm.report_failed_worker(fault.worker)
        except CommunicatorRevoked:
            pass
        placement = reassign(placement, comm.recover(), group.config.on_failure == "adopt")


def _until_dismissed(comm: Communicator, group: WorkerGroup, feed: Callable[[], None]) -> int:
    channel = Channel(comm, group.config.wire.dim, group.config.downlink)
    while True:
        header, vectors = channel.receive()
        feed()
        if header["command"] == Command.DISMISS:
            comm.confirm()
            return int(header["number"])
        _obey(comm, group, header, vectors)


def _obey(comm: Communicator, group: WorkerGroup, header: Header, vectors: tuple[Vector, ...]) -> None:
    match Command(int(header["command"])):
        case Command.ASK:
            _answer(comm, group, header, vectors)
        case Command.AUDIT:
            scores, gradients = group.audit(vectors[0])
            comm.gather(scores)
            comm.sum_to_root(gradients.parts)
        case Command.TEST:
            by_row = bool(header["kind"])
            sums, told = group.tested(vectors[0], by_row)
            comm.gather(sums)
            if by_row:
                comm.gather(told)
        case Command.CURVATURE:
            comm.sum_to_root(group.hessian_products(*vectors).parts)
        case Command.MEMORY:
            name = group.config.wire.feedback.memories()[int(header["kind"])].name
            for worker in group.workers:
                if worker.index >= header["number"]:
                    comm.send(worker.memory_before(int(header["round"]))[name])


def _answer(comm: Communicator, group: WorkerGroup, header: Header, vectors: tuple[Vector, ...]) -> None:
    batch = group.reply(int(header["round"]), Query(vectors, float(header["scale"]), int(header["kind"])))
    if group.config.lengths_vary:
        comm.gather(np.array([len(message) for message in batch.messages], np.int64))
    seconds = np.array([batch.compute, batch.encode]).astype("<f8")
    mine = np.frombuffer(b"".join([*batch.messages, seconds.tobytes()]), np.uint8)
    comm.gather(mine, most=most_up(group.config.round_limit, comm.size))
