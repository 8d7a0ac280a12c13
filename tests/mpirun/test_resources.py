"""Disks, folders and files that fail: one clear message, the documented exit code, nothing lost, no hang."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust.data.store import write_csr_store
from tests.mpirun.test_rank_count import SAME
from tests.support.launching import finish, mpirobust, start

_PLAN = """
seed = 2
workers = 8
feedback = "residual"
data = { kind = "regression", rows = 40, features = 4000 }
problem.kind = "least-squares"
algorithm = { kind = "first-order", rounds = 12, step = 0.0001 }
compressor.kind = "l1-qsgd"
aggregator = { kind = "norm-trim", beta = 0.25 }
checkpoint.every = 4
"""

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a small file system in memory with these options; again, to change them."""
    point = tmp_path / "small"
    point.mkdir()
    mounted = False

    def mounting(options: str) -> Path:
        nonlocal mounted
        again = ["remount"] if mounted else []
        command = ["mount", "-t", "tmpfs", "-o", ",".join([*again, options]), "mpirobust", str(point)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("mounting a small file system needs root, and leave to mount")
        mounted = True
        return point

    yield mounting
    if mounted:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(_PLAN)
    return path


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one message of a job that ended with `code`."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def same(one: Path, other: Path) -> None:
    with h5py.File(one / "run.h5") as expected, h5py.File(other / "run.h5") as found:
        assert found.attrs["status"] == "finished"
        for column in SAME:
            np.testing.assert_array_equal(found[column][:], expected[column][:], err_msg=column)


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*.h5"))


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_disk_that_fills_up_keeps_the_checkpoints(
    ranks: int | None, plan: Path, mount: Mount, tmp_path: Path
) -> None:
    """Room for the trace and two checkpoints; for the third a user makes room, and goes on."""
    whole = tmp_path / "whole"
    assert mpirobust("run", str(plan), "--out", str(whole)).returncode == 0
    size = (whole / "checkpoint-000000012.h5").stat().st_size
    out = mount(f"size={int(2.5 * size) + 3 * (whole / 'run.h5').stat().st_size}") / "out"
    command = ["run", str(plan), "--out", str(out)]
    message = said(mpirobust(*command, ranks=ranks, timeout=60), 5)
    assert message == f"mpirobust: cannot write {out}/checkpoint-000000012.h5: No space left on device"
    assert checkpoints(out) == ["checkpoint-000000004.h5", "checkpoint-000000008.h5"]
    assert not list(out.glob(".*"))
    assert said(mpirobust(*command, "--resume", ranks=2, timeout=60), 5) == message  # as full as before
    assert checkpoints(out) == ["checkpoint-000000004.h5", "checkpoint-000000008.h5"]
    mount(f"size={10 * size}")
    assert mpirobust(*command, "--resume", ranks=5).returncode == 0
    same(whole, out)


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_disk_without_room_for_a_trace(ranks: int | None, plan: Path, mount: Mount) -> None:
    out = mount("size=8k") / "out"
    message = said(mpirobust("run", str(plan), "--out", str(out), ranks=ranks, timeout=60), 5)
    assert message == f"mpirobust: cannot write {out}/run.h5: No space left on device"
    assert sorted(path.name for path in out.iterdir()) == ["run.lock"]


@pytest.mark.parametrize("ranks", [None, 3])
@pytest.mark.parametrize("holds", [False, True], ids=["new", "run"])
def test_a_folder_that_is_read_only(holds: bool, ranks: int | None, plan: Path, mount: Mount) -> None:
    out = mount("size=50m") / "out"
    command = ["run", str(plan), "--out", str(out), "--resume"]
    if holds:
        assert mpirobust(*command).returncode == 0
    mount("ro")
    message = said(mpirobust(*command, "--set", "algorithm.rounds=20", ranks=ranks, timeout=60), 5)
    assert message == f"mpirobust: cannot write to {out}: Read-only file system"
    assert len(checkpoints(out)) == (2 if holds else 0)


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_second_job_in_the_same_folder_leaves_the_first_alone(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    endless = ["--set", "algorithm.rounds=10000000", "--time-limit", "600s"]
    first = start("-m", "mpirobust", "run", str(plan), "--out", str(out), *endless, ranks=3)
    until = time.monotonic() + 60
    while not checkpoints(out) and time.monotonic() < until:
        time.sleep(0.05)
    for option in ("--resume", "--overwrite"):
        message = said(mpirobust("run", str(plan), "--out", str(out), option, *endless, ranks=ranks, timeout=60), 2)
        assert message == f"mpirobust: another run is writing to {out}; wait for it, or choose another folder"
        assert first.poll() is None
    first.send_signal(signal.SIGUSR1)
    assert finish(first, 60).returncode == 75
    with h5py.File(out / "run.h5") as trace:
        rounds = int(trace.attrs["rounds"])
    more = ["--set", f"algorithm.rounds={rounds + 4}"]
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", *more).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(tmp_path / "whole"), *more).returncode == 0
    same(tmp_path / "whole", out)


@pytest.mark.parametrize("ranks", [None, 3])
def test_damaged_checkpoints_under_several_ranks(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    """The newest with one bit flipped, then both: the older is taken, then none, and it is said why."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    more = ["--set", "algorithm.rounds=14"]
    assert mpirobust("run", str(plan), "--out", str(whole), *more).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(out)).returncode == 0
    flip(out / "checkpoint-000000012.h5")
    for damaged in (1, 2):
        done = mpirobust("run", str(plan), "--out", str(out), "--resume", *more, ranks=ranks, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("note: passed over") == damaged
        assert done.stderr.count("its checksum does not fit") == damaged
        same(whole, out)
        for path in out.glob("checkpoint-*.h5"):
            flip(path)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_damaged_trace_is_refused_and_left(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert mpirobust("run", str(plan), "--out", str(out)).returncode == 0
    flip(out / "run.h5")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    message = said(mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=ranks, timeout=60), 2)
    assert message.startswith(f"mpirobust: {out}/run.h5: damaged")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("ranks", [None, 3])
def test_data_that_changed_are_refused(ranks: int | None, tmp_path: Path) -> None:
    from scipy import sparse

    def store(seed: int) -> None:
        rng = np.random.default_rng(seed)
        write_csr_store(
            tmp_path / "rows.h5", sparse.csr_array(rng.standard_normal((40, 5))), np.sign(rng.standard_normal(40)), ""
        )

    text = _PLAN.replace('{ kind = "regression", rows = 40, features = 4000 }', '{ kind = "libsvm", path = "rows.h5" }')
    (tmp_path / "plan.toml").write_text(text)
    store(1)
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "plan.toml"), "--out", str(out), "--set", "algorithm.rounds=12"]
    done = mpirobust(*command)
    assert done.returncode == 0, done.stderr
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    store(2)
    message = said(mpirobust(*command, "--resume", ranks=ranks, timeout=60), 2)
    assert message == f"mpirobust: the data have changed since the run in {out} began; choose another --out"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    store(1)
    assert mpirobust(*command, "--resume", ranks=ranks).returncode == 0


@pytest.mark.parametrize("ranks", [None, 3])
def test_the_folder_of_another_plan_is_left_alone(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert mpirobust("run", str(plan), "--out", str(out)).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    command = ["run", str(plan), "--out", str(out), "--resume", "--set", "workers=7"]
    message = said(mpirobust(*command, ranks=ranks, timeout=60), 2)
    assert message.startswith(f"mpirobust: {out} holds a run of another plan: workers was 8, is 7")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("key", ["rows", "features"])
@pytest.mark.parametrize("ranks", [None, 3])
def test_a_plan_that_no_memory_holds(ranks: int | None, key: str, plan: Path, tmp_path: Path) -> None:
    done = mpirobust("run", str(plan), f"--set=data.{key}={10**12}", f"--out={tmp_path / 'out'}", ranks=ranks)
    assert said(done, 5).startswith("mpirobust: not enough memory: Unable to allocate 7.28 TiB")
    assert not (tmp_path / "out").exists()
