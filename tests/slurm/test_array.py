"""jobs/array.sbatch on a real SLURM: every task in a folder of its own, and one table of them all."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tests.slurm.jobs import FAKE_CPUS, JOBS, assert_same_bits, status, write_plan
from tests.slurm.sandbox import Sandbox
from tests.support.launching import mpirobust, until

_SCRIPT = str(JOBS / "array.sbatch")
_POINTS = """
# the fourth is cut off
--set algorithm.step=0.1
--set 'algorithm.step=0.02' --set seed=7
--set algorithm.stepp=1

--set algorithm.rounds=1000000
"""
_ENV = {**FAKE_CPUS, "MPIROBUST_LAUNCHER": "srun"}


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_points_of_a_sweep(cluster: Sandbox, tmp_path: Path) -> None:
    """One task fails and the last, whose job has the number of the array, is requeued; the table waits for it."""
    plan = write_plan(tmp_path, rows=400, rounds=40)
    (tmp_path / "points.txt").write_text(_POINTS)
    logs = "--output=%A_%a.log"
    arguments = ["--array=1-4", "--ntasks=1", logs, _SCRIPT, plan.name, "--points", "points.txt", "--out=out"]
    array = cluster.submit(*arguments, folder=tmp_path, env=_ENV)
    cut = cluster.job(f"{array.id}_4", tmp_path / f"{array.id}_4.log")
    report = ["--ntasks=1", f"--dependency=afterany:{array.id}", "--wrap=mpirobust report out --out out.csv"]
    table = cluster.submit(*report, folder=tmp_path, env=_ENV)
    until((tmp_path / "out" / "point-4" / "run.h5").exists, 60, cut.text)
    for task in "123":
        cluster.job(f"{array.id}_{task}", tmp_path / f"{array.id}_{task}.log").wait(60)
    cluster.call("scancel", "--batch", "--signal=USR1", cut.id)
    until(lambda: "requeueing" in cut.text(), 60, cut.text)
    _, rounds = status(tmp_path / "out" / "point-4")
    (tmp_path / "points.txt").write_text(_POINTS.replace("1000000", str(rounds + 50)))

    assert table.wait(120)["JobState"] == "COMPLETED", table.text()
    jobs = {task: cluster.job(f"{array.id}_{task}", Path()).facts() for task in "1234"}
    assert {task: (facts["JobState"], facts["ExitCode"], facts["Restarts"]) for task, facts in jobs.items()} == {
        "1": ("COMPLETED", "0:0", "0"),
        "2": ("COMPLETED", "0:0", "0"),
        "3": ("FAILED", "2:0", "0"),
        "4": ("COMPLETED", "0:0", "1"),
    }, cut.text()
    assert_same_bits(tmp_path / "out" / "point-1", plan, 40, "algorithm.step=0.1")
    assert_same_bits(tmp_path / "out" / "point-2", plan, 40, "algorithm.step=0.02", "seed=7")
    assert_same_bits(tmp_path / "out" / "point-4", plan, rounds + 50, f"algorithm.rounds={rounds + 50}")

    rows = _rows(tmp_path / "out.csv")
    assert [row["run"] for row in rows] == ["point-1", "point-2", "point-3", "point-4"]
    assert [row["status"] for row in rows] == ["finished", "finished", "no run", "finished"]
    assert [row["algorithm.step"] for row in rows] == ["0.1", "0.02", "", "0.05"]
    assert [row["seed"] for row in rows] == ["5", "7", "", "5"]
    assert "3 of 4 done" in table.text()
    assert "not done: out/point-3: no run; its log is out/point-3/slurm.log" in table.text()
    failed = (tmp_path / "out" / "point-3" / "slurm.log").read_text()
    assert "algorithm.stepp" in failed
    assert re.search(rf"job {array.id}_3: exit code 2 ", failed)


def test_seeds(cluster: Sandbox, tmp_path: Path) -> None:
    """What was cancelled before it began is in the table too, and goes on when it is submitted again."""
    plan = write_plan(tmp_path, rows=400, rounds=20)
    array = cluster.submit("--array=9-10%1", "--ntasks=3", _SCRIPT, plan.name, folder=tmp_path, env=FAKE_CPUS)
    out = tmp_path / "runs" / f"small-{array.id}"
    until((out / "seed-9").exists, 60, array.text)
    cluster.call("scancel", f"{array.id}_10")
    first = cluster.job(f"{array.id}_9", out / "seed-9" / "slurm.log")
    assert first.wait(60)["JobState"] == "COMPLETED", first.text()
    said = mpirobust("report", str(out)).stdout
    assert re.search(r"^seed-9 +finished.*\nseed-10 +no run ", said, re.MULTILINE), said
    again = cluster.submit(
        *("--array=10", "--ntasks=3", "--wait", _SCRIPT, plan.name, f"--out={out}"), folder=tmp_path, env=FAKE_CPUS
    )
    assert again.facts()["JobState"] == "COMPLETED"
    assert "2 of 2 done" in mpirobust("report", str(out)).stdout
    assert_same_bits(out / "seed-10", plan, 20, "seed=10")


def test_a_point_that_is_not_there(cluster: Sandbox, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, rows=400, rounds=20)
    (tmp_path / "points.txt").write_text("--set seed=1\n")
    job = cluster.submit(
        "--array=2", "--ntasks=1", "--output=log", _SCRIPT, plan.name, "--points=points.txt", folder=tmp_path, env=_ENV
    )
    facts = job.wait(60)
    assert (facts["JobState"], facts["ExitCode"]) == ("FAILED", "2:0")
    assert "points.txt has no point 2" in (tmp_path / "log").read_text()


def test_both_scripts_ask_slurm_for_the_same() -> None:
    def asked(name: str) -> set[str]:
        lines = (JOBS / name).read_text().splitlines()
        return {
            line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH") and "--output" not in line
        }

    assert asked("array.sbatch") == asked("run.sbatch")
    assert {"--signal=B:USR1@60", "--requeue", "--open-mode=append", "--ntasks=21"} <= asked("run.sbatch")
