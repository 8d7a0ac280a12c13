"""jobs/run.sbatch requeues by what the run file says, whatever the launcher returns, and not for ever."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.slurm.jobs import assert_same_bits, bring_end_in_sight, submit, write_plan
from tests.slurm.sandbox import Job, Sandbox

_BIN = Path(sys.executable).parent
_SAVED = "compgen -G 'out/checkpoint-*.h5' >/dev/null"  # any: older ones are removed
# An mpirun that loses the run. `LOSSES` starts in a row it kills all of it when `WHEN` holds, and returns `CODE`.
_MPIRUN = """#!/bin/bash
if [[ $1 == -n ]] && (($(wc -l <{starts}) < {losses})); then
    echo start >>{starts}
    shift 2
    "$@" &
    until {when}; do sleep 0.1; done
    kill -KILL $!
    wait $! 2>/dev/null
    exit {code}
fi
exec {mpirun} "$@"
"""


def _lossy(folder: Path, losses: int, when: str, code: int) -> dict[str, str]:
    """The environment of a job that gets this mpirun."""
    mpirun = shutil.which("mpirun", path=f"{_BIN}{os.pathsep}{os.environ['PATH']}")
    if mpirun is None:
        pytest.skip("no mpirun: pip install '.[mpi]'")
    starts, wrapper = folder / "starts", folder / "bin" / "mpirun"
    starts.touch()
    wrapper.parent.mkdir()
    wrapper.write_text(_MPIRUN.format(starts=starts, losses=losses, when=when, code=code, mpirun=mpirun))
    wrapper.chmod(0o755)
    path = os.pathsep.join([str(wrapper.parent), str(_BIN), os.environ["PATH"]])
    return {"PATH": path, "MPIROBUST_LAUNCHER": "mpirun"}


def _ended(job: Job) -> tuple[str, str, str]:
    facts = job.wait(150)
    return facts["JobState"], facts["ExitCode"], facts["Restarts"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_lost_run_comes_back_whatever_the_launcher_returns(cluster: Sandbox, tmp_path: Path, code: int) -> None:
    """The run file decides, also against a launcher that returns 0."""
    plan = write_plan(tmp_path, rows=400, rounds=10**6)
    env = _lossy(tmp_path, losses=1, when=_SAVED, code=code)
    job = submit(cluster, tmp_path, plan.name, "--out", "out", "--set", "checkpoint.every=20", ntasks=3, env=env)
    rounds = bring_end_in_sight(job, tmp_path, tmp_path / "out", rows=400)
    assert _ended(job) == ("COMPLETED", "0:0", "1"), job.text()
    assert f"exit code {code}" in job.text()
    assert "the run in out is unfinished (running)" in job.text()
    assert_same_bits(tmp_path / "out", plan, rounds)


@pytest.mark.parametrize("when", ["[[ -e out/run.h5 ]]", "true"])
def test_starts_that_save_nothing_are_not_repeated_for_ever(cluster: Sandbox, tmp_path: Path, when: str) -> None:
    """The bound on starts in a row, after some that wrote and some that did not."""
    plan = write_plan(tmp_path, rows=400, rounds=10**6)
    env = _lossy(tmp_path, losses=10, when=when, code=0)
    job = submit(cluster, tmp_path, plan.name, "--out=out", "--set=checkpoint.every=1000000", ntasks=3, env=env)
    assert _ended(job) == ("FAILED", "75:0", "1"), job.text()
    assert "nothing new was saved by this start, the 2. in a row" in job.text()
    assert "not requeued" in job.text()
    assert (tmp_path / "starts").read_text().count("start") == 2


@pytest.mark.parametrize("code", [2, 3, 4, 5, 130])
def test_a_fault_that_every_start_would_meet_is_final(cluster: Sandbox, tmp_path: Path, code: int) -> None:
    """Each exit code that must not come back."""
    plan = write_plan(tmp_path, rows=400, rounds=10**6)
    env = _lossy(tmp_path, losses=10, when=_SAVED, code=code)
    job = submit(cluster, tmp_path, plan.name, "--out=out", "--set=checkpoint.every=20", ntasks=3, env=env)
    assert _ended(job) == ("FAILED", f"{code}:0", "0"), job.text()
    assert "not requeued" in job.text()
