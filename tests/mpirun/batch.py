"""Several runs in one start of MPI, since the start is what takes most of the time of a small one.

mpirun ... python batch.py PLAN OUT [PLAN OUT]...
"""

from __future__ import annotations

import sys
from pathlib import Path

from mpirobust import cli


def main() -> None:
    comm = cli._comm()  # as a command starts MPI
    from mpirobust.run import experiment
    from mpirobust.run.setup import RunRequest

    for plan, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        try:
            code, _ = experiment.run(RunRequest(Path(plan), out=Path(out), quiet=True), comm)
        except Exception as error:
            raise RuntimeError(f"{plan} on {comm.size} ranks") from error
        if code:
            raise RuntimeError(f"{plan} on {comm.size} ranks: exit code {code}")
    comm.leave(0)


if __name__ == "__main__":
    main()
