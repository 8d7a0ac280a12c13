"""Ten thousand small rounds on 21 ranks: nothing grows but the trace, and the trace is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import Popen

import h5py
import numpy as np
import pytest

from tests.launching import finish, start

pytestmark = pytest.mark.slow

_RANKS, _WORKERS, _ROUNDS, _EVERY = 21, 20, 10_000, 200
_PLAN = f"""
seed = 5
workers = {_WORKERS}
feedback = "residual"
data = {{ kind = "regression", rows = 200, features = 64 }}
problem.kind = "least-squares"
algorithm = {{ kind = "first-order", rounds = {_ROUNDS}, step = 0.001 }}
compressor.kind = "l1-qsgd"
aggregator = {{ kind = "norm-trim", beta = 0.2 }}
attack = {{ kind = "gaussian", alpha = 0.15 }}
audit.every = 50
checkpoint.every = {_EVERY}
"""
_NOISE = 256  # KiB that a process may grow by in six thousand rounds: 44 bytes a round


@dataclass(frozen=True)
class Sample:
    """A rank after some round, seen from outside."""

    round: int
    resident: int  # KiB of memory that is its own
    files: int


def ranks_of(job: Popen[str]) -> dict[int, int]:
    """Rank -> process of those that the launcher has started."""
    found = {}
    for children in Path(f"/proc/{job.pid}/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            said = dict(line.partition("=")[::2] for line in Path(f"/proc/{pid}/environ").read_text().split("\0"))
            if "OMPI_COMM_WORLD_RANK" in said:
                found[int(said["OMPI_COMM_WORLD_RANK"])] = pid
    return found


def look_at(pid: int, round: int) -> Sample:
    memory = dict(line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    own = sum(int(memory[name]) for name in ("Private_Clean:", "Private_Dirty:"))
    return Sample(round, own, len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208 - no Path for each


def watch(job: Popen[str], folder: Path) -> Mapping[int, list[Sample]]:
    """Samples of every rank, one at each checkpoint that is seen, until the job is over."""
    samples: dict[int, list[Sample]] = {rank: [] for rank in range(_RANKS)}
    seen = 0
    while job.poll() is None:
        round = max((int(path.stem.partition("-")[2]) for path in folder.glob("checkpoint-*.h5")), default=0)
        if round > seen and round < _ROUNDS:
            seen = round
            try:
                for rank, pid in ranks_of(job).items():
                    samples[rank].append(look_at(pid, round))
            except OSError:
                break  # they are going home
        time.sleep(0.1)
    return samples


def growth(samples: list[Sample]) -> float:
    """KiB from the second fifth of the run to the last."""

    def typical(first: float, last: float) -> float:
        return median(each.resident for each in samples if first <= each.round / _ROUNDS < last)

    return typical(0.8, 1.0) - typical(0.2, 0.4)


def litter() -> set[Path]:
    """What jobs leave behind: shared memory, and the session folders of launchers."""
    return {*Path("/dev/shm").iterdir(), *Path(os.environ.get("TMPDIR", "/tmp")).glob("prte.*/*")}


def test_ten_thousand_rounds(tmp_path: Path) -> None:
    plan, out, temporary = tmp_path / "plan.toml", tmp_path / "out", tmp_path / "tmp"
    plan.write_text(_PLAN)
    temporary.mkdir()
    with tempfile.TemporaryDirectory(prefix="soak") as session:  # a short path: sockets stand in it
        shared = {path for path in Path("/dev/shm").iterdir()}
        job = start("-m", "mpirobust", "run", str(plan), "--out", str(out), ranks=_RANKS, env={"TMPDIR": session})
        pids = [job.pid]
        samples = watch(job, out)
        done = finish(job, timeout=60)
        left = [path for path in Path(session).rglob("*")]
    assert done.returncode == 0, done.stderr
    assert_complete(out)
    assert_flat(samples)
