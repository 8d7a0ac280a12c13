"""Several runs, one after the other, in one start of MPI; every rank prints what it met for each.

    mpirun ... python several.py PLAN CASES

CASES is a JSON table of [folder, "" or "resume" or "overwrite", overrides]; a line is [case, rank, exit code, message
or null].
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mpirobust.commands import job


def main() -> None:
    plan, cases = sys.argv[1:]
    comm = job.processes()  # as a command starts MPI
    from mpirobust.errors import Fault, ReportedFault
    from mpirobust.running import experiment
    from mpirobust.running.setup import RunRequest

    for case, (out, how, overrides) in json.loads(cases).items():
        code, message = 0, None
        again = {"resume": how == "resume", "overwrite": how == "overwrite"}
        try:
            code, _ = experiment.run(RunRequest(Path(plan), overrides, Path(out), **again, quiet=True), comm)
        except ReportedFault as fault:
            code = fault.code
        except Fault as fault:
            code, message = fault.code, str(fault)
        os.write(1, f"{json.dumps([case, comm.rank, code, message])}\n".encode())
    comm.leave(0)


if __name__ == "__main__":
    main()
