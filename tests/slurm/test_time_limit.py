"""A job that SLURM cuts off at its time limit comes back and ends in the bits of one that was left alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm.jobs import FAKE_CPUS, JOBS, assert_same_bits, status, write_plan
from tests.slurm.sandbox import Job, Sandbox
from tests.support.launching import ranks_in_job, until

_SCRIPT = str(JOBS / "run.sbatch")
_ENDLESS = 10**6
# Slow on its first start, so that there are not a minute's rounds to repeat when the bits are compared.
_SLOW = """#!/bin/bash
[[ $1 != run || -n ${SLURM_RESTART_COUNT:-} ]] || sleep 15
exec python -m mpirobust "$@"
"""


def _submit(cluster: Sandbox, folder: Path, *arguments: str, env: Mapping[str, str]) -> Job:
    folder.mkdir()
    plan = write_plan(folder, rows=4000, rounds=_ENDLESS)
    given = [argument.replace("PLAN", plan.name) for argument in arguments]
    return cluster.submit(*given, folder=folder, env={**FAKE_CPUS, **env})


@dataclass(frozen=True)
class Cut:
    """A job that was cut off after so many rounds, and now has only a few more to do."""

    job: Job
    plan: Path
    status: str
    rounds: int


def _cut(job: Job, folder: Path) -> Cut:
    """Wait until the job is cut off, and bring its end in sight before it is back, which takes SLURM some seconds."""
    until(lambda: "exit code" in job.text(), 120, job.text)
    ended, rounds = status(folder / "out")
    return Cut(job, write_plan(folder, rows=4000, rounds=rounds + 50), ended, rounds)


@pytest.fixture(scope="module")
def cuts(cluster: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cut]:
    """All jobs at once, since each takes its minute or two."""
    folder = tmp_path_factory.mktemp("cut")
    slow = folder / "mpirobust"
    slow.write_text(_SLOW)
    slow.chmod(0o755)
    signalled = _submit(
        cluster,
        folder / "signal",
        *("--time=2", "--ntasks=3", "--signal=B:USR1@30", _SCRIPT, "PLAN", "--out=out", "--time-limit=none"),
        env={"MPIROBUST_LAUNCHER": "mpirun"},
    )
    hung = _submit(
        cluster,
        folder / "hung",
        *("--time=2", "--ntasks=3", "--signal=B:USR1@30", _SCRIPT, "PLAN", "--out=out", "--set=checkpoint.every=20"),
        env={"MPIROBUST_LAUNCHER": "mpirun"},
    )
    timed = _submit(
        cluster,
        folder / "deadline",
        *("--time=1", "--ntasks=1", "--signal=B:USR1@0", _SCRIPT, "PLAN", "--out=out"),
        env={"MPIROBUST_LAUNCHER": "srun", "PATH": f"{folder}:{FAKE_CPUS['PATH']}"},
    )
    # SLURM may send its signal half a minute and more before it is due; of a limit of two minutes that is still
    # well after the start, and after the other job has ended by itself.
    until(lambda: any((folder / "hung" / "out").glob("checkpoint-*.h5")), 60, hung.text)
    os.kill(ranks_in_job(folder / "hung")[2], signal.SIGSTOP)
    deadline = _cut(timed, folder / "deadline")
    return {
        "signal": _cut(signalled, folder / "signal"),
        "deadline": deadline,
        "hung": _cut(hung, folder / "hung"),
    }


@pytest.mark.parametrize("how", ["signal", "deadline", "hung"])
def test_cut_by_its_time_limit(how: str, cuts: dict[str, Cut]) -> None:
    """The one test of real limits, by SLURM's own clock: its signal, the end it tells, and ranks that hang."""
    job, plan, rounds = cuts[how].job, cuts[how].plan, cuts[how].rounds
    assert ("SIGUSR1: asking for a checkpoint" in job.text()) == (how != "deadline"), job.text()
    assert ("the ranks have not ended: ending them" in job.text()) == (how == "hung")
    if how != "hung":  # a rank that was stopped may be let go on for its end
        assert "exit code 75" in job.text()
        assert cuts[how].status == "interrupted"
    assert 0 < rounds < _ENDLESS
    facts = job.wait(120)
    assert (facts["JobState"], facts["ExitCode"]) == ("COMPLETED", "0:0"), job.text()
    assert facts["Restarts"] == "1", job.text()
    assert "start 0" in job.text()  # the log grew
    assert "start 1" in job.text()
    assert_same_bits(plan.parent / "out", plan, rounds + 50)
