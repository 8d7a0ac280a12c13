"""The start of many ranks: one round of the quickstart, the whole command, against the bare imports.

    python benchmarks/startup.py [--ranks 21] [--pairs 5]

Writes benchmarks/startup.json: wall seconds, and CPU seconds of the launcher and all ranks together, of `mpirobust run
configs/quickstart.toml --set algorithm.rounds=1` and of `import mpi4py.MPI, numpy` under the same launcher, in
alternating pairs. Bytecode is cached for both, as `pip install` does it: an editable install under
PYTHONDONTWRITEBYTECODE would compile this package anew on every rank. Where there is `strace`, the files that rank 1
opens are counted as well.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from operator import truediv
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import perf_counter

from origin import about

import mpirobust

_HERE = Path(__file__).parent
_RESULT = _HERE / "startup.json"
_LIMIT = 1.5
_BARE = ["python", "-c", "import mpi4py.MPI, numpy"]
_RUN = ["mpirobust", "run", str(_HERE.parent / "configs/quickstart.toml"), "--set", "algorithm.rounds=1", "--overwrite"]
_TRACED = 'if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then exec strace -f -qq -e trace=open,openat -o "$0" "$@"; fi; exec "$@"'


def launched(command: Sequence[str], ranks: int) -> tuple[float, float]:
    """Run a job; return its wall seconds, and its CPU seconds with those of all its processes."""
    before, began = getrusage(RUSAGE_CHILDREN), perf_counter()
    job = [str(_HERE.parent / "jobs/mpirun-local"), "-n", str(ranks), *command]
    subprocess.run(job, check=True, stdout=subprocess.DEVNULL)
    after, ended = getrusage(RUSAGE_CHILDREN), perf_counter()
    return ended - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def files_opened(command: Sequence[str], folder: Path) -> int | None:
    """Return how many files and folders one rank of three opens, shared libraries too; None without `strace`."""
    if shutil.which("strace") is None:
        return None
    log = folder / "opened"
    launched(["sh", "-c", _TRACED, str(log), *command], 3)
    return sum("open" in line and "ENOENT" not in line for line in log.read_text().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=21)
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    compileall.compile_dir(Path(mpirobust.__file__).parent, quiet=1)
    found: dict[str, list[float]] = {name: [] for name in ("run_wall", "run_cpu", "bare_wall", "bare_cpu")}
    with tempfile.TemporaryDirectory() as folder:
        run = [*_RUN, "--out", str(Path(folder) / "out")]
        opened = {"bare": files_opened(_BARE, Path(folder)), "run": files_opened(run, Path(folder))}  # warms up, too
        for _ in range(asked.pairs):
            values = [*launched(run, asked.ranks), *launched(_BARE, asked.ranks)]
            for name, value in zip(found, values, strict=True):
                found[name].append(round(value, 3))
    ratios = {
        f"{kind}_ratio": round(median(map(truediv, found[f"run_{kind}"], found[f"bare_{kind}"])), 3)
        for kind in ("wall", "cpu")
    }
    of = {"ranks": asked.ranks, "limit": _LIMIT}
    result = {**about(), **of, **ratios, "files_opened": opened, "seconds": found}
    _RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
