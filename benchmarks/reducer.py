"""The time of one call of `RobustReducer.reduce` in both modes, beside `Allreduce` of the same gradient.

    python benchmarks/reducer.py

It starts a job for each number of ranks. All four take turns on the same float64 gradient (one `Allreduce` on its
float32 copy), so that a busy machine disturbs all. The reducer sends a bit for each coordinate (`l1-qsgd`) and drops
the longest quarter of the messages (`norm-trim`). Bytes are those that the reducer counts in one call.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from origin import about
from threadpoolctl import threadpool_limits
from timing import Seconds, Timed, alternating, milliseconds, ratios, timed

from mpirobust.comm.launch import launched_as
from mpirobust.reducer.settings import Mode

_HERE = Path(__file__).parent
_RESULT = _HERE / "reducer.json"
_MODES: tuple[Mode, ...] = ("center", "symmetric")


def inside(asked: argparse.Namespace) -> None:
    """One rank of a job; rank 0 prints the measurements as JSON."""
    from mpi4py import MPI

    from mpirobust import RobustReducer

    threadpool_limits(1)
    comm, found = MPI.COMM_WORLD, []
    for dim in asked.dim:
        double = np.random.default_rng(comm.rank).standard_normal(dim)
        reducers = {
            mode: RobustReducer(comm, compressor="l1-qsgd", aggregator={"kind": "norm-trim", "beta": 0.25}, mode=mode)
            for mode in _MODES
        }
        programs: dict[str, Callable[[], object]] = {
            f"Allreduce {g.dtype}": partial(comm.Allreduce, g, np.empty_like(g)) for g in (double, np.float32(double))
        }
        programs |= {mode: partial(reducer.reduce, double) for mode, reducer in reducers.items()}
        calls = max(1, min(asked.calls, asked.calls * 100_000 // dim))
        seconds = alternating({name: _timed(comm, each, calls) for name, each in programs.items()}, asked.repeats)
        traffic: dict[str, Any] = {mode: comm.gather(vars(reducer.traffic)) for mode, reducer in reducers.items()}
        if comm.rank == 0:
            found.append(_summary(dim, calls, seconds, traffic, rounds=calls * (asked.repeats + 1)))
    if comm.rank == 0:
        print(json.dumps(found))


def _timed(comm: Any, program: Callable[[], object], calls: int) -> Timed:
    """Return what times a call: wall seconds, and CPU seconds of all ranks together."""
    one = timed(program, calls)

    def run() -> tuple[float, float]:
        comm.Barrier()
        wall, cpu = one()
        return wall, comm.allreduce(cpu)

    return run


def _summary(dim: int, calls: int, seconds: dict[str, Seconds], traffic: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return one row: times in milliseconds, ratios to Allreduce in float64, bytes of one call of each rank."""
    base = seconds["Allreduce float64"]
    return {
        "d": dim,
        "calls": calls,
        "takes": {name: milliseconds(each) for name, each in seconds.items()},
        "ratios": {name: ratios(each, base) for name, each in seconds.items()},
        "sent": {mode: [each["sent"] // rounds for each in ranks] for mode, ranks in traffic.items()},
        "received": {mode: [each["received"] // rounds for each in ranks] for mode, ranks in traffic.items()},
        "ring": traffic["center"][0]["allreduce"] // rounds,
    }


def measured(asked: argparse.Namespace, ranks: int) -> dict[str, Any]:
    """Start a job of so many ranks and return what it has measured."""
    options = [f"--calls={asked.calls}", f"--repeats={asked.repeats}", *(f"--dim={dim}" for dim in asked.dim)]
    job = [str(_HERE.parent / "jobs/mpirun-local"), "-n", str(ranks), "python", __file__, *options]
    told = json.loads(subprocess.run(job, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {"ranks": ranks, "sizes": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, action="append", help="(default: 2 and 4)")
    parser.add_argument("--dim", type=int, action="append", help="(default: 10^4, 10^6 and 10^7)")
    parser.add_argument("--calls", type=int, default=50, help="of a block, at d <= 10^5; fewer at more")
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    asked.dim = asked.dim or [10**4, 10**6, 10**7]
    if launched_as():
        inside(asked)
        return
    settings = {"compressor": "l1-qsgd", "aggregator": "norm-trim, beta = 0.25", "repeats": asked.repeats}
    result = {**about(), "settings": settings, "jobs": [measured(asked, ranks) for ranks in asked.ranks or (2, 4)]}
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {_RESULT}")


if __name__ == "__main__":
    main()
