"""A user's script, on every rank: two runs, and one into a folder that holds a run already.

    mpirun ... python from_python.py PLAN FOLDER [failing]

Every rank prints a JSON list: the SHA-256 of the iterate of each run, and the fault of the third. With `failing`,
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
    try:
        mpirobust.run(plan, f"{folder}/1")
    except mpirobust.Fault as fault:
        said.append(f"{type(fault).__name__}: {fault}")
    os.write(1, f"{json.dumps(said)}\n".encode())


if __name__ == "__main__":
    main()
