"""Several runs in one start of MPI, since the start is what takes most of the time of a small one.

mpirun ... python batch.py [--threads N] PLAN OUT [PLAN OUT]...
"""

from __future__ import annotations

import sys
from pathlib import Path

from mpirobust.commands import job


def main() -> None:
    comm = job.processes()  # as a command starts MPI
    from mpirobust.running import experiment
    from mpirobust.running.setup import RunRequest

    arguments, threads = sys.argv[1:], None
    if arguments[0] == "--threads":
        threads, arguments = int(arguments[1]), arguments[2:]
    for plan, out in zip(arguments[::2], arguments[1::2], strict=True):
        try:
            code, _ = experiment.run(RunRequest(Path(plan), out=Path(out), quiet=True, threads=threads), comm)
        except Exception as error:
            raise RuntimeError(f"{plan} on {comm.size} ranks") from error
        if code:
            raise RuntimeError(f"{plan} on {comm.size} ranks: exit code {code}")
    comm.leave(0)


if __name__ == "__main__":
    main()
