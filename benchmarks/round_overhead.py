"""A round of the application against a bare mpi4py program with the same collectives and the same work on each rank.

    python benchmarks/round_overhead.py [--ranks 2 --ranks 3 --ranks 21] [--workers 200] [--dim 1000]

Writes benchmarks/round_overhead.json. For each number of ranks it starts one job (jobs/mpirun-local), in which blocks
of rounds alternate with blocks of the bare program: one Bcast of header and vector, one Gatherv of the packed bytes, on
preallocated buffers, and between them a loop that burns as much CPU time on each rank as its work took in the block
before: gradient and encoding on the ranks of the workers, and the rule at the center. Everything else is overhead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from operator import truediv
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time
from typing import TypeVar

import numpy as np
from origin import about
from threadpoolctl import threadpool_limits

from mpirobust.aggregators.base import Context, bound
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.cluster.connect import connect
from mpirobust.cluster.placement import assign_workers
from mpirobust.cluster.protocol import HEADER, SECONDS
from mpirobust.cluster.wire import Wire
from mpirobust.cluster.worker import Worker, WorkerConfig
from mpirobust.cluster.worker_group import Batch, WorkerGroup
from mpirobust.cluster.worker_loop import serve
from mpirobust.comm.launch import launched_as
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.feedback.none import NoFeedback
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.shard import Shard
from mpirobust.streams import Purpose, stream
from mpirobust.types import Norm, flat

_HERE = Path(__file__).parent
_RESULT = _HERE / "round_overhead.json"
_LIMIT = 1.3
_MEASURED = ("round_wall", "round_cpu", "bare_wall", "bare_cpu")
T = TypeVar("T")


class _Timed(WorkerGroup):
    """Workers that note the CPU seconds which their answers take; time that others have the core does not count."""

    spent = 0.0

    def reply(self, round: int, query: Query) -> Batch:
        began = thread_time()
        batch = super().reply(round, query)
        self.spent += thread_time() - began
        return batch


def group_of(workers: Sequence[int], dim: int, total: int) -> _Timed:
    """Return workers with 20 rows of random numbers each, of `total` workers."""
    config = WorkerConfig(
        wire=Wire(1, flat(dim), L1QSGD(), Norm(), NoFeedback()),
        loss=LeastSquares(),
        algorithm=FirstOrder(rounds=1, step=0.5),
        lengths_vary=False,
        attack=None,
        byzantine=np.arange(0),
        weights=np.ones(total),
        on_failure="stop",
        max_faulty=0,
    )
    made = []
    for index in workers:
        rng = stream(1, index, 0, Purpose.ROWS)
        made.append(Worker(index, config, Shard.of(rng.standard_normal((20, dim)), np.zeros(20), 0, 20 * total), None))
    return _Timed(config, made, lambda _: ())


def inside(asked: argparse.Namespace) -> None:
    """One rank: alternate blocks of both programs; rank 0 prints the measurements as JSON."""
    from mpi4py import MPI

    from mpirobust.comm.mpi import MpiCommunicator

    threadpool_limits(1)
    comm, world = MpiCommunicator(), MPI.COMM_WORLD
    placement = assign_workers(asked.workers, comm.size)
    group = group_of(placement[comm.rank], asked.dim, asked.workers)
    x, rule = np.zeros(asked.dim), NormTrim(beta=0.11)
    counts = np.array([len(workers) for workers in placement]) * L1QSGD().max_nbytes(flat(asked.dim))
    counts[1:] += SECONDS.itemsize
    mine, point = np.zeros(int(counts[comm.rank]), np.uint8), np.zeros(HEADER.itemsize + x.nbytes, np.uint8)
    everything = np.zeros(int(counts.sum()), np.uint8)

    def rounds() -> float:
        """Return the CPU seconds of this rank's work in each round: the rule at the center, answers elsewhere."""
        cluster, judging = connect(comm, group, placement), 0.0
        if cluster is None:
            group.spent = 0.0
            serve(comm, group, placement)
            return group.spent / int(asked.rounds)
        for round in range(asked.rounds):
            query = Query((x,), scale=0.5)
            judge = bound(rule, None, Context(round, query))
            exchange = cluster.ask(round, query, judge)
            began = thread_time()
            judge(exchange.answers)
            judging += thread_time() - began
        cluster.dismiss(0)
        return judging / int(asked.rounds)

    def bare(work: float) -> None:
        for _ in range(asked.rounds):
            world.Bcast(point)
            if comm.rank == 0:
                world.Gatherv(mine, [everything, (counts, None), MPI.BYTE])
                _burn(work)
            else:
                _burn(work)
                world.Gatherv(mine, None)

    def timed(program: Callable[[], T]) -> tuple[T, float, float]:
        """Return the result, and for a round the wall seconds and the CPU seconds of all ranks together."""
        world.Barrier()
        wall, cpu = perf_counter(), process_time()
        result = program()
        spent = world.allreduce(process_time() - cpu)
        return result, (perf_counter() - wall) / asked.rounds, spent / asked.rounds

    rounds()
    found: dict[str, list[float]] = {name: [] for name in ("center", "rank", *_MEASURED)}
    for _ in range(asked.pairs):
        work, *of_round = timed(rounds)
        _, *of_bare = timed(partial(bare, work))
        everyone = world.allgather(work)
        for name, value in zip(found, [everyone[0], max(everyone[1:]), *of_round, *of_bare], strict=True):
            found[name].append(value)
    if comm.is_root:
        print(json.dumps(found))


def _burn(seconds: float) -> None:
    until = thread_time() + seconds
    while thread_time() < until:
        pass


def measured(asked: argparse.Namespace, ranks: int) -> dict[str, object]:
    """Start a job and return its medians, in milliseconds."""
    options = [f"--{name}={getattr(asked, name)}" for name in ("workers", "dim", "rounds", "pairs")]
    job = [str(_HERE.parent / "jobs/mpirun-local"), "-n", str(ranks), "python", __file__, *options]
    told = json.loads(subprocess.run(job, check=True, stdout=subprocess.PIPE, text=True).stdout)
    medians = {f"{name}_ms": round(1e3 * median(values), 3) for name, values in told.items()}
    ratios = {
        f"{kind}_ratio": round(median(map(truediv, told[f"round_{kind}"], told[f"bare_{kind}"])), 3)
        for kind in ("wall", "cpu")
    }
    return {"ranks": ranks, **medians, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, action="append", help="(default: 2, 3 and 21)")
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--dim", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50, help="of a block")
    parser.add_argument("--pairs", type=int, default=9)
    asked = parser.parse_args()
    if launched_as():
        inside(asked)
        return
    rows = [measured(asked, ranks) for ranks in asked.ranks or (2, 3, 21)]
    settings = {name: getattr(asked, name) for name in ("workers", "dim", "rounds", "pairs")}
    result = {**about(), "settings": settings, "limit": _LIMIT, "runs": rows}
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
