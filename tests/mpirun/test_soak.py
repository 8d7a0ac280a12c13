"""Thousands of small rounds on 21 ranks: nothing grows but the trace, and the trace is complete."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import h5py
import numpy as np
import pytest

from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.records.trace import Trace
from mpirobust.types import flat
from tests.support.launching import finish, ranks_of, start

_RANKS, _WORKERS = 21, 20
_LOOKS = 50  # and as many checkpoints
_FEATURES = 64
_PLAN = f"""
seed = 5
workers = {_WORKERS}
feedback = "residual"
data = {{ kind = "regression", rows = 200, features = {_FEATURES} }}
problem.kind = "least-squares"
algorithm = {{ kind = "first-order", rounds = ROUNDS, step = 0.001 }}
compressor.kind = "l1-qsgd"
aggregator = {{ kind = "norm-trim", beta = 0.2 }}
attack = {{ kind = "gaussian", alpha = 0.15 }}
audit.every = 50
checkpoint.every = EVERY
"""
_NOISE = 256  # KiB that a process may grow by: in the six thousand rounds of the long test, 44 bytes a round


@dataclass(frozen=True)
class Sample:
    """A rank after some round, seen from outside."""

    round: int
    resident: int  # KiB of memory that is its own
    files: int
    shared: frozenset[Path]  # mapped files in /dev/shm


def look_at(pid: int, round: int) -> Sample:
    process = Path(f"/proc/{pid}")
    memory = dict(line.split()[:2] for line in (process / "smaps_rollup").read_text().splitlines()[1:])
    own = sum(int(memory[name]) for name in ("Private_Clean:", "Private_Dirty:"))
    mapped = (line.split()[-1] for line in (process / "maps").read_text().splitlines())
    shared = frozenset(Path(name) for name in mapped if name.startswith("/dev/shm/"))
    return Sample(round, own, sum(1 for _ in (process / "fd").iterdir()), shared)


def watch(job: Popen[str], folder: Path, rounds: int) -> Mapping[int, list[Sample]]:
    """Samples of every rank, one at each checkpoint that is seen, until the job is over."""
    samples: dict[int, list[Sample]] = {rank: [] for rank in range(_RANKS)}
    seen = 0
    until = time.monotonic() + 900
    while job.poll() is None and time.monotonic() < until:
        round = max((int(path.stem.partition("-")[2]) for path in folder.glob("checkpoint-*.h5")), default=0)
        if seen < round < rounds:
            seen = round
            with suppress(OSError):  # they are going home
                for rank, pid in ranks_of(job).items():
                    samples[rank].append(look_at(pid, round))
        time.sleep(0.1)
    return samples


@pytest.mark.parametrize(
    "rounds", [pytest.param(2_000, marks=pytest.mark.system), pytest.param(10_000, marks=pytest.mark.soak)]
)
def test_many_rounds(rounds: int, tmp_path: Path) -> None:
    """The one test that sees leaks: memory, open files, mapped files, each of them rank by rank."""
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(_PLAN.replace("ROUNDS", str(rounds)).replace("EVERY", str(rounds // _LOOKS)))
    with tempfile.TemporaryDirectory(prefix="soak") as session:
        job = start("-m", "mpirobust", "run", str(plan), "--out", str(out), ranks=_RANKS, env={"TMPDIR": session})
        samples = watch(job, out, rounds)
        done = finish(job, timeout=60)
        left = list(Path(session).iterdir())
    assert done.returncode == 0, done.stderr
    assert not left, "of the launcher's session"
    shared = {path for seen in samples.values() for each in seen for path in each.shared}
    assert shared, "there is nothing in /dev/shm to be removed: this looks at the wrong place"
    assert not {path for path in shared if path.exists()}
    assert_complete(out, rounds)
    wrong = {rank: found for rank, seen in samples.items() if (found := leaks(rank, seen, rounds))}
    assert not wrong


def leaks(rank: int, seen: list[Sample], rounds: int) -> list[str]:
    """What of a rank grows that should not."""
    assert len(seen) > 20, "too few looks to tell"
    fifths = [[each for each in seen if n <= 5 * each.round / rounds < n + 1] for n in range(5)]
    grown = lowest(fifths[4], "resident") - lowest(fifths[1], "resident")
    opened = lowest(fifths[4], "files") - lowest(fifths[1], "files")
    print(f"rank {rank}: {seen[0].resident} KiB, grown by {grown}; {seen[0].files} files, {opened} more")
    found = [f"{grown} KiB"] if grown > _NOISE + (by_design(rounds) if rank == 0 else 0) else []
    return found + ([f"{opened} open files"] if opened > 0 else [])


def lowest(seen: list[Sample], what: str) -> int:
    """The least of several looks: a look may fall into a write, which takes memory and a file for a moment."""
    return min(int(getattr(each, what)) for each in seen)


def by_design(rounds: int) -> float:
    """KiB by which the center may grow in six tenths of the rounds: twice the trace, and freed copies of it."""
    row = Trace(_WORKERS, np.zeros(0, int), {}).rounds.rows.itemsize
    return 2 * 0.6 * rounds * row / 1024 + 2048


def assert_complete(out: Path, rounds: int) -> None:
    """Every round is there once, with the bytes that a round has; nothing but the run is in the folder."""
    with h5py.File(out / "run.h5") as trace:
        assert trace.attrs["status"] == "finished"
        np.testing.assert_array_equal(trace["rounds/round"][:], np.arange(1, rounds + 1))
        np.testing.assert_array_equal(trace["audits/round"][:], np.arange(0, rounds + 1, 50))
        for column in ("bytes_up", "bytes_down"):
            assert np.unique(trace[f"rounds/{column}"]).size == 1
        assert trace["rounds/bytes_up"][0] == _WORKERS * L1QSGD().max_nbytes(flat(_FEATURES))
        assert (np.diff(trace["rounds/elapsed"]) > 0).all()
        assert np.isfinite(trace["rounds/norms"]).all()
        assert (trace["rounds/kept"][:].sum(axis=1) == 16).all()
    checkpoints = {f"checkpoint-{round:09d}.h5" for round in (rounds - rounds // _LOOKS, rounds)}
    assert {path.name for path in out.iterdir()} == {"run.h5", "run.lock", *checkpoints}
