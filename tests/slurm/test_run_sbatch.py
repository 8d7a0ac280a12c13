"""jobs/run.sbatch on a real SLURM: the same bits as without it, also when the job is cut off and comes back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.slurm.jobs import FAKE_CPUS, assert_same_bits, bring_end_in_sight, status, submit, write_plan
from tests.slurm.sandbox import Sandbox
from tests.support.launching import CONFIGS, processes_with, ranks_in_job, until


def test_a_rank_for_each_worker_and_the_center(cluster: Sandbox, tmp_path: Path) -> None:
    """The script as the documents say to use it: 21 tasks, its own folder, its log."""
    plan = write_plan(tmp_path, rows=400, rounds=15)
    job = submit(cluster, tmp_path, plan.name, "--set", "checkpoint.every=5", ntasks=21)
    facts = job.wait(120)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", "0"), job.text()
    for said in (f"job {job.id}", "21 ranks on n1", "mpirun (", "exit code 0"):
        assert said in job.text()
    assert_same_bits(tmp_path / "runs" / f"small-{job.id}", plan, rounds=15)


@pytest.mark.parametrize(("launcher", "ntasks"), [("mpirun", 5), ("srun", 1)])
def test_requeued_before_the_limit(cluster: Sandbox, tmp_path: Path, launcher: str, ntasks: int) -> None:
    """The signal of SLURM, by way of the script and either launcher: saved, requeued, the same bits, nothing left."""
    plan = write_plan(tmp_path, rows=4000, rounds=10**6)
    out = tmp_path / "chosen"
    job = submit(cluster, tmp_path, plan.name, f"--out={out}", ntasks=ntasks, env={"MPIROBUST_LAUNCHER": launcher})
    until((out / "run.h5").exists, 60, job.text)
    cluster.call("scancel", "--batch", "--signal=USR1", job.id)
    rounds = bring_end_in_sight(job, tmp_path, out, rows=4000)
    assert rounds > 50
    assert status(out)[0] == "interrupted"
    facts = job.wait(120)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", "1"), job.text()
    assert "exit code 75" in job.text()
    assert_same_bits(out, plan, rounds)
    until(lambda: not _left(tmp_path), 6, lambda: f"left behind: {_left(tmp_path)}")


def _left(folder: Path) -> dict[int, str]:
    return processes_with(f"SLURM_SUBMIT_DIR={folder}")


# Rank 3 of 6 has four of the 20 workers, and two of the others are Byzantine.
@pytest.mark.parametrize(("beta", "restarts"), [(0.4, 0), (0.2, 1)], ids=["borne", "too many"])
def test_under_ulfm_a_job_goes_on_or_comes_back(cluster: Sandbox, tmp_path: Path, beta: float, restarts: int) -> None:
    """MPIROBUST_ULFM: a death that the run bears, and one after which the job comes back with all ranks."""
    rounds = 10**6 if restarts else 2000
    plan, out = write_plan(tmp_path, rows=400, rounds=rounds), tmp_path / "out"
    sets = [f"--set=aggregator.beta={beta}", "--set=checkpoint.every=50", "--set=audit.every=100"]
    env = {"MPIROBUST_LAUNCHER": "mpirun", "MPIROBUST_ULFM": "yes"}
    job = submit(cluster, tmp_path, plan.name, "--out=out", *sets, ntasks=6, env=env)
    until(lambda: any(out.glob("checkpoint-*.h5")), 60, job.text)
    os.kill(ranks_in_job(tmp_path)[3], signal.SIGKILL)
    if restarts:
        rounds = bring_end_in_sight(job, tmp_path, out, rows=400)
    facts = job.wait(120)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", f"{restarts}"), job.text()
    assert "rank 3 died in round" in job.text()
    with h5py.File(out / "run.h5") as file:
        assert file.attrs["status"] == "finished"
        assert np.flatnonzero(file["rounds/absent"][-1]).tolist() == ([] if restarts else [8, 9, 10, 11])
    if restarts:
        assert "exit code 6" in job.text()
        assert_same_bits(out, plan, rounds)


def test_a_signal_before_the_ranks_are_ready_reaches_them_later(cluster: Sandbox, tmp_path: Path) -> None:
    """Ranks ignore the signal until they can obey it, and then obey it."""
    plan = write_plan(tmp_path, rows=400, rounds=10**6)
    slow = tmp_path / "bin" / "mpirobust"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\n[ "$1" != run ] || until grep -q asking *.log; do sleep 1; done\nexec python -m mpirobust "$@"\n'
    )
    slow.chmod(0o755)
    env = {"MPIROBUST_LAUNCHER": "mpirun", "PATH": f"{slow.parent}{os.pathsep}{FAKE_CPUS['PATH']}"}
    job = submit(cluster, tmp_path, plan.name, "--out=out", ntasks=3, env=env)
    until(lambda: len(ranks_in_job(tmp_path)) == 3, 60, job.text)
    cluster.call("scancel", "--batch", "--signal=USR1", job.id)
    bring_end_in_sight(job, tmp_path, tmp_path / "out", rows=400)
    facts = job.wait(60)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", "1"), job.text()
    assert "exit code 75" in job.text()


def test_a_wrong_plan_is_not_requeued(cluster: Sandbox, tmp_path: Path) -> None:
    """A real fault, not only its code, through the script."""
    job = submit(cluster, tmp_path, str(CONFIGS / "quickstart.toml"), "--set", "algorithm.stepp=1", ntasks=3)
    facts = job.wait(60)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("FAILED", "2:0", "0"), job.text()
    assert "algorithm.stepp" in job.text()


@pytest.mark.parametrize(
    ("launcher", "ulfm", "said"),
    [("srun", "yes", "MPIROBUST_ULFM needs MPIROBUST_LAUNCHER=mpirun"), ("mpirun", "no", "it can be yes")],
)
def test_a_wrong_setting_is_refused(cluster: Sandbox, tmp_path: Path, launcher: str, ulfm: str, said: str) -> None:
    env = {"MPIROBUST_LAUNCHER": launcher, "MPIROBUST_ULFM": ulfm}
    job = submit(cluster, tmp_path, str(CONFIGS / "quickstart.toml"), ntasks=3, env=env)
    facts = job.wait(60)
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("FAILED", "2:0", "0"), job.text()
    assert said in job.text()


@pytest.mark.parametrize(("launcher", "ntasks"), [("mpirun", 3), ("srun", 1)])
def test_a_cancelled_job_saves_and_stays_away(cluster: Sandbox, tmp_path: Path, launcher: str, ntasks: int) -> None:
    """scancel: saved, no requeue, and a last line that says how to go on."""
    plan = write_plan(tmp_path, rows=400, rounds=10**6)
    job = submit(cluster, tmp_path, plan.name, "--out=out", ntasks=ntasks, env={"MPIROBUST_LAUNCHER": launcher})
    until((tmp_path / "out" / "run.h5").exists, 60, job.text)
    cluster.call("scancel", job.id)
    until(lambda: "not requeued after SIGTERM; submit again with the same --out" in job.text(), 60, job.text)
    rounds = status(tmp_path / "out")[1]
    assert f"unfinished (interrupted); {rounds} rounds are saved" in job.text()
    facts = job.wait(60)
    assert (facts["JobState"], facts["Restarts"]) == ("CANCELLED", "0"), job.text()
    with h5py.File(tmp_path / "out" / "run.h5") as file:
        assert file.attrs["status"] == "interrupted"
