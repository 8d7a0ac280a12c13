"""What the tests of the job scripts share: a small plan, the settings of a machine with made-up CPUs, the same bits."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from tests.slurm.sandbox import Job, Sandbox
from tests.support.launching import REPOSITORY, mpirobust, until

JOBS = REPOSITORY / "jobs"

_PLAN = """
seed = 5
workers = 20
[data]
kind = "regression"
rows = {rows}
features = 200
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = {rounds}
step = 0.05
[compressor]
kind = "l1-qsgd"
[aggregator]
kind = "norm-trim"
beta = 0.2
[attack]
kind = "gaussian"
alpha = 0.1
"""
# The node has more CPUs configured than the machine has, which MPI cannot know. A real cluster needs none of this.
FAKE_CPUS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}


def submit(cluster: Sandbox, folder: Path, *arguments: str, ntasks: int, env: Mapping[str, str] | None = None) -> Job:
    """`sbatch run.sbatch ARGUMENTS` in `folder`."""
    return cluster.submit(
        f"--ntasks={ntasks}", str(JOBS / "run.sbatch"), *arguments, folder=folder, env={**FAKE_CPUS, **(env or {})}
    )


def write_plan(folder: Path, rows: int, rounds: int) -> Path:
    plan = folder / "small.toml"
    plan.write_text(_PLAN.format(rows=rows, rounds=rounds))
    return plan


def status(folder: Path) -> tuple[str, int]:
    """How far the run in `folder` is; a trace that nobody could end may be behind the newest checkpoint."""
    saved = [int(path.stem.split("-")[1]) for path in folder.glob("checkpoint-*.h5")]
    with h5py.File(folder / "run.h5") as file:
        return str(file.attrs["status"]), max(int(file["rounds/round"].size), *saved, 0)


def bring_end_in_sight(job: Job, folder: Path, out: Path, rows: int) -> int:
    """Wait until the job is back in the queue for some seconds; leave it 50 rounds and return all that it then does.

    A signal that came before the first round has left no trace.
    """
    until(lambda: "requeueing" in job.text(), 60, job.text)
    rounds = 50 + (status(out)[1] if (out / "run.h5").exists() else 0)
    write_plan(folder, rows, rounds)
    return rounds


def assert_same_bits(folder: Path, plan: Path, rounds: int, *overrides: str) -> None:
    """The run in `folder` is finished and the same as one in a single process."""
    alone = plan.parent / f"alone-{folder.name}"
    done = mpirobust("run", str(plan), "--out", str(alone), *(word for each in overrides for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    with h5py.File(alone / "run.h5") as expected, h5py.File(folder / "run.h5") as found:
        assert found.attrs["status"] == "finished"
        assert found["rounds/round"].size == rounds
        for name in ("model/x", "rounds/kept", "rounds/norms"):
            np.testing.assert_array_equal(found[name][:], expected[name][:], err_msg=name)
