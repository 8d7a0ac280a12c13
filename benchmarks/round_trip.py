"""A round of the application against the bare collectives that carry it, in the same job.

    jobs/mpirun-local -n 21 python benchmarks/round_trip.py [--workers 200] [--dim 1000] [--rounds 200]

The limit is one Bcast of the vector and one Gatherv of the packed bytes on preallocated buffers. Prints medians over
blocks of rounds that alternate with blocks of the bare collectives, so that noise of the machine meets both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import numpy as np
from mpi4py import MPI
from threadpoolctl import threadpool_limits

from mpirobust.aggregators.base import Context, bound
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.cluster.connect import connect
from mpirobust.cluster.placement import assign_workers
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.cluster.worker_loop import serve
from mpirobust.comm.mpi import MpiCommunicator
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.feedback.none import NoFeedback
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.shard import Shard
from mpirobust.streams import Purpose, stream
from mpirobust.types import Norm, flat

_BLOCKS = 9


def group_of(workers: Sequence[int], dim: int, total: int) -> WorkerGroup:
    algorithm = FirstOrder(rounds=1, step=0.5)
    bad, weights = np.arange(0), np.ones(total // 20)
    config = WorkerConfig(
        seed=1,
        loss=LeastSquares(),
        algorithm=algorithm,
        compressor=L1QSGD(),
        norm=Norm(),
        feedback=NoFeedback(),
        lengths_vary=False,
        layout=flat(dim),
        attack=None,
        byzantine=bad,
        weights=weights,
        on_failure="stop",
        max_faulty=0,
    )
    made = []
    for index in workers:
        rng = stream(1, index, 0, Purpose.ROWS)
        made.append(Worker(index, config, Shard.of(rng.standard_normal((20, dim)), np.zeros(20), 0, total), None))
    return WorkerGroup(config, made, lambda _: ())


def bare_rounds(comm: MPI.Intracomm, dim: int, counts: np.ndarray, rounds: int) -> float:
    vector, mine = np.zeros(dim), np.zeros(int(counts[comm.rank]), np.uint8)
    everything = np.zeros(int(counts.sum()), np.uint8) if comm.rank == 0 else None
    comm.Barrier()
    began = perf_counter()
    for _ in range(rounds):
        comm.Bcast(vector)
        comm.Gatherv(mine, [everything, (counts, None), MPI.BYTE] if comm.rank == 0 else None)
    return (perf_counter() - began) / rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--dim", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    threadpool_limits(1)
    comm = MpiCommunicator()
    placement = assign_workers(asked.workers, comm.size)
    group = group_of(placement[comm.rank], asked.dim, 20 * asked.workers)
    counts = np.array([len(workers) for workers in placement]) * L1QSGD().max_nbytes(flat(asked.dim))
    bare, whole, compute = [], [], []
    for _ in range(_BLOCKS):
        bare.append(bare_rounds(MPI.COMM_WORLD, asked.dim, counts, asked.rounds))
        cluster = connect(comm, group, placement)
        if cluster is None:
            serve(comm, group, placement)
            continue
        x, rule = np.zeros(asked.dim), NormTrim(beta=0.11)
        began = perf_counter()
        for round in range(asked.rounds):
            query = Query((x,), scale=0.5)
            judge = bound(rule, None, Context(round, query))
            exchange = cluster.ask(round, query, judge)
            x = x - judge(exchange.answers).step
            compute.append(exchange.times.compute + exchange.times.encode)
        whole.append((perf_counter() - began) / asked.rounds)
        cluster.dismiss(0)
    if comm.rank == 0:
        times = median(whole) / median(bare)
        print(f"{comm.size} ranks, {asked.workers} workers, d = {asked.dim:,}")
        print(f"  bare Bcast + Gatherv   {1e3 * median(bare):8.3f} ms")
        print(f"  whole round            {1e3 * median(whole):8.3f} ms   {times:.2f} x the bare one")
        print(f"  slowest rank's work    {1e3 * median(compute):8.3f} ms of it")


if __name__ == "__main__":
    main()
