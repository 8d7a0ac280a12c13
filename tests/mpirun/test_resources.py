"""Disks, folders and files that fail: one clear message, the documented exit code, nothing lost, no hang."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust.data.store import write_csr_store
from tests.support.alone import run_alone
from tests.support.launching import finish, mpirobust, start, until
from tests.support.traces import assert_same, contents

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


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*.h5"))


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_disk_that_fills_up_keeps_the_checkpoints(
    ranks: int | None, plan: Path, mount: Mount, tmp_path: Path
) -> None:
    """Room for the trace and two checkpoints; for the third a user makes room, and goes on."""
    whole = run_alone(plan, tmp_path / "whole")
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
    run_alone(plan, out, resume=True)
    assert_same(whole, out)


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
        run_alone(plan, out)
    mount("ro")
    message = said(mpirobust(*command, "--set", "algorithm.rounds=20", ranks=ranks, timeout=60), 5)
    assert message == f"mpirobust: cannot write to {out}: Read-only file system"
    assert len(checkpoints(out)) == (2 if holds else 0)


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_second_job_in_the_same_folder_leaves_the_first_alone(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    endless = ["--set", "algorithm.rounds=10000000", "--time-limit", "600s"]
    first = start("-m", "mpirobust", "run", str(plan), "--out", str(out), *endless, ranks=3)
    until(lambda: bool(checkpoints(out)), 60, lambda: "no checkpoint")
    for option in ("--resume", "--overwrite"):
        message = said(mpirobust("run", str(plan), "--out", str(out), option, *endless, ranks=ranks, timeout=60), 2)
        assert message == f"mpirobust: another run is writing to {out}; wait for it, or choose another folder"
        assert first.poll() is None
    first.send_signal(signal.SIGUSR1)
    assert finish(first, 60).returncode == 75
    with h5py.File(out / "run.h5") as trace:
        rounds = int(trace.attrs["rounds"])
    more = f"algorithm.rounds={rounds + 4}"
    assert_same(run_alone(plan, tmp_path / "whole", more), run_alone(plan, out, more, resume=True))


@pytest.mark.parametrize("ranks", [None, 3])
def test_damaged_checkpoints_under_several_ranks(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    """The newest with one bit flipped, then both: the older is taken, then none, and it is said why."""
    more = ["--set", "algorithm.rounds=14"]
    whole, out = run_alone(plan, tmp_path / "whole", more[1]), run_alone(plan, tmp_path / "out")
    flip(out / "checkpoint-000000012.h5")
    for damaged in (1, 2):
        done = mpirobust("run", str(plan), "--out", str(out), "--resume", *more, ranks=ranks, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("note: passed over") == damaged
        assert done.stderr.count("its checksum does not fit") == damaged
        assert_same(whole, out)
        for path in out.glob("checkpoint-*.h5"):
            flip(path)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_damaged_trace_is_refused_and_left(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    out = run_alone(plan, tmp_path / "out")
    flip(out / "run.h5")
    before = contents(out)
    message = said(mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=ranks, timeout=60), 2)
    assert message.startswith(f"mpirobust: {out}/run.h5: damaged")
    assert contents(out) == before


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
    command = ["run", str(tmp_path / "plan.toml"), "--out", str(out)]
    run_alone(tmp_path / "plan.toml", out)
    before = contents(out)
    store(2)
    message = said(mpirobust(*command, "--resume", ranks=ranks, timeout=60), 2)
    assert message == f"mpirobust: the data have changed since the run in {out} began; choose another --out"
    assert contents(out) == before
    store(1)
    run_alone(tmp_path / "plan.toml", out, resume=True)


@pytest.mark.parametrize("ranks", [None, 3])
def test_the_folder_of_another_plan_is_left_alone(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    out = run_alone(plan, tmp_path / "out")
    before = contents(out)
    command = ["run", str(plan), "--out", str(out), "--resume", "--set", "workers=7"]
    message = said(mpirobust(*command, ranks=ranks, timeout=60), 2)
    assert message.startswith(f"mpirobust: {out} holds a run of another plan: workers was 8, is 7")
    assert contents(out) == before


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_plan_that_no_memory_holds(ranks: int | None, plan: Path, tmp_path: Path) -> None:
    small = ["sh", "-c", 'ulimit -v 6000000; exec "$@"', "sh"]  # KiB, so that nothing of this size is filled at all
    command = ["run", str(plan), f"--set=data.features={10**9}", f"--out={tmp_path / 'out'}"]
    done = finish(start("-m", "mpirobust", *command, ranks=ranks, enter=small), 60)
    assert said(done, 5).startswith("mpirobust: not enough memory: Unable to allocate 7.45 GiB")
    assert not (tmp_path / "out").exists()
