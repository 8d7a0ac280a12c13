"""A user's script, on every rank: two runs, and three that are refused.

    mpirun ... python from_python.py PLAN FOLDER [failing]

Every rank prints a JSON list: the SHA-256 of the iterate of each run, and the class and the message of each fault: of a
folder that holds a run, of a key that does not fit the data, and of a file that only rank 1 lacks. With `failing`,
worker 5 cannot answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

import mpirobust
from mpirobust.cluster.worker import Worker
from tests.support.instants import replace


def _fail(worker: Worker, *arguments: Any) -> Any:
    if worker.index == 5:
        raise RuntimeError("the disk is on fire")
    return _answer(worker, *arguments)


_answer = Worker._answer


def main() -> None:
    path, folder, *how = sys.argv[1:]
    if how:
        replace(Worker, "_answer", _fail)
    said = []
    for seed in (1, 2):
        plan = mpirobust.load_plan(path, seed=seed, algorithm={"rounds": 5})
        said.append(hashlib.sha256(mpirobust.run(plan, f"{folder}/{seed}").x.tobytes()).hexdigest())
    rank = os.environ.get("OMPI_COMM_WORLD_RANK")
    too_many = mpirobust.load_plan(plan, workers=5000)
    for wrong, out in ((plan, "1"), (too_many, "3"), ("gone.toml" if rank == "1" else plan, "4")):
        try:
            mpirobust.run(wrong, f"{folder}/{out}")
        except mpirobust.Fault as fault:
            said.append(f"{type(fault).__name__} {int(fault.code)}: {fault}")
    os.write(1, f"{json.dumps(said)}\n".encode())


if __name__ == "__main__":
    main()
