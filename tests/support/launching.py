"""Starts the application the way a user does: as processes, under mpirun where there are several."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
_MPIRUN = REPOSITORY / "jobs" / "mpirun-local"
_PATIENCE = 5  # time limits are set for a quiet machine; they are there against hangs, not to measure
_BIN = str(Path(sys.executable).parent)
mpirun_allowed = True  # not in the unit tier: its tests run beside each other on all cores


def start(
    *command: str,
    ranks: int | None,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    enter: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Start `python COMMAND` in a process group of its own; under mpirun with `options` unless `ranks` is None.

    Args:
        enter: what to put before it, to start it elsewhere.
    """
    assert ranks is None or mpirun_allowed, "a test of the unit tier starts no mpirun: mark it mpi"
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    if ranks is not None and shutil.which("mpirun", path=path) is None:
        pytest.skip("no mpirun: pip install '.[mpi]'")
    launcher = [] if ranks is None else [str(_MPIRUN), *options, "-n", str(ranks)]
    return subprocess.Popen(
        [*enter, *launcher, sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), **(env or {})},
    )


def finish(process: subprocess.Popen[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Wait for the process; one that is not done after five times `timeout` seconds is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=_PATIENCE * timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        out, err = process.communicate()
        pytest.fail(f"still running after {_PATIENCE * timeout} s\n{out}\n{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until(condition: Callable[[], bool], timeout: float, report: Callable[[], str]) -> None:
    """Wait for `condition`; when five times `timeout` seconds have passed, fail with the report."""
    end = time.monotonic() + _PATIENCE * timeout
    while not condition():
        assert time.monotonic() < end, f"waited {_PATIENCE * timeout} s in vain\n{report()}"
        time.sleep(0.1)


def ranks_of(process: subprocess.Popen[str]) -> dict[int, int]:
    """The process number of every rank that an mpirun has started and that is still there."""
    return _ranks(_descendants(process.pid))


def ranks_in_job(folder: Path) -> dict[int, int]:
    """The same for the ranks of the SLURM job that was submitted in `folder`."""
    pids = (int(process.name) for process in Path("/proc").glob("[0-9]*"))
    return _ranks(pids, f"SLURM_SUBMIT_DIR={folder}")


def processes_with(setting: str) -> dict[int, str]:
    """The processes that have this in their environment, and their commands."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if setting.encode() in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes()
                found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def _ranks(pids: Iterable[int], setting: str = "") -> dict[int, int]:
    """Those of the processes that are ranks, by rank, and that have this in their environment."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
            numbers = [entry.partition("=")[2] for entry in environment if entry.startswith("OMPI_COMM_WORLD_RANK=")]
            if numbers and (not setting or setting in environment):
                found[int(numbers[0])] = pid
    return found


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the launcher and, through its descendants, to every rank."""
    for pid in [*_descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def mpirobust(
    *arguments: str, ranks: int | None = None, timeout: float = 120, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `mpirobust ARGUMENTS` to its end."""
    return finish(start("-m", "mpirobust", *arguments, ranks=ranks, env=env), timeout)


def _descendants(pid: int) -> list[int]:
    """Children before parents would let a parent start new ones, so: parents first."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found
