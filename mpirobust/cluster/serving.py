"""The workers' end of a cluster of ranks."""

from __future__ import annotations

import sys

import numpy as np

from mpirobust.algorithms.base import Query
from mpirobust.cluster.host import Host
from mpirobust.cluster.placement import Placement, rehomed
from mpirobust.cluster.ranks import Death, Ranks
from mpirobust.cluster.wire import Command, Header, Line
from mpirobust.errors import WorkerFault
from mpirobust.types import Vector


def serve(ranks: Ranks, host: Host, placement: Placement) -> int:
    """Do as the center says until dismissed; returns the exit code.

    Where a rank dies or a worker fails, the center asks again; `placement`, the workers of each rank, is then worked
    out anew, by every rank for itself.
    """
    while True:
        try:
            host.house(placement[ranks.rank])
            return _until_dismissed(ranks, host)
        except WorkerFault as fault:
            if not ranks.survives:
                raise
            print(f"mpirobust: {fault}", file=sys.stderr, flush=True)
            ranks.report(fault.worker)
        except Death:
            pass
        placement = rehomed(placement, ranks.mend(), host.orders.on_failure == "adopt")


def _until_dismissed(ranks: Ranks, host: Host) -> int:
    line = Line(ranks, host.orders.dim)
    while True:
        header, vectors = line.hear()
        if header["command"] == Command.DISMISS:
            ranks.part()
            return int(header["number"])
        _obey(ranks, host, header, vectors)


def _obey(ranks: Ranks, host: Host, header: Header, vectors: tuple[Vector, ...]) -> None:
    match Command(int(header["command"])):
        case Command.ASK:
            _answer(ranks, host, header, vectors)
        case Command.AUDIT:
            ranks.gather(host.scores(vectors[0]))
            ranks.add(host.gradients(vectors[0]).parts)
        case Command.CURVATURE:
            ranks.add(host.hessian_products(*vectors).parts)
        case Command.RESIDUALS:
            for worker in host.workers:
                residual = worker.residual_before(int(header["round"]))
                if worker.index >= header["number"] and residual is not None:
                    ranks.send(residual)


def _answer(ranks: Ranks, host: Host, header: Header, vectors: tuple[Vector, ...]) -> None:
    batch = host.reply(int(header["round"]), Query(vectors, float(header["scale"]), int(header["kind"])))
    if host.orders.lengths_vary:
        ranks.gather(np.array([len(message) for message in batch.messages], np.int64))
    seconds = np.array([batch.compute, batch.encode]).astype("<f8")
    ranks.gather(np.frombuffer(b"".join([*batch.messages, seconds.tobytes()]), np.uint8))
