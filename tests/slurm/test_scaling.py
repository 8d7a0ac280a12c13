"""jobs/scaling.sbatch on a real SLURM: a job for each size, one after the other, then the table."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from tests.slurm.jobs import FAKE_CPUS, JOBS, status, write_plan
from tests.slurm.sandbox import Job, Sandbox

_SCRIPT = str(JOBS / "scaling.sbatch")


def _jobs(cluster: Sandbox, said: str, folder: Path) -> list[Job]:
    """The jobs of the sizes, and the last."""
    found = re.findall(r"job (\d+), (\S+)", said)
    return [cluster.job(id, folder / log if log.endswith(".log") else folder / log / "slurm.log") for id, log in found]


def test_strong(cluster: Sandbox, tmp_path: Path) -> None:
    """From the command line; a size that cannot run does not hold up the others."""
    write_plan(tmp_path, rows=400, rounds=40)
    command = ["bash", _SCRIPT, "--ranks=1,22,3", "--time=5", "small.toml", "--out", "out"]
    said = cluster.call(*command, folder=tmp_path, env=FAKE_CPUS)
    *sizes, last = _jobs(cluster, said, tmp_path)
    assert last.wait(240)["JobState"] == "COMPLETED", last.text()
    facts = [job.facts() for job in sizes]
    assert [each["JobState"] for each in facts] == ["COMPLETED", "FAILED", "COMPLETED"], sizes[1].text()
    assert [each["NumTasks"] for each in facts] == ["1", "22", "3"]
    assert {each["TimeLimit"] for each in facts} == {"00:05:00"}
    spans = [(datetime.fromisoformat(each["StartTime"]), datetime.fromisoformat(each["EndTime"])) for each in facts]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert "same numbers on all sizes" in last.text()
    assert "left out: out/ranks-22: no run; its log is out/ranks-22/slurm.log" in last.text()
    with (tmp_path / "out" / "scaling.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ranks"] for row in rows] == ["1", "3"]
    assert all(float(row["round"]) > 0 for row in rows)
    assert rows[0]["efficiency"] == rows[0]["speed-up"] == "1.00"
    assert (tmp_path / "out" / "scaling.png").stat().st_size > 0


def test_weak_and_as_a_job(cluster: Sandbox, tmp_path: Path) -> None:
    """Weak scaling, and the script as a job of its own."""
    write_plan(tmp_path, rows=400, rounds=40)
    arguments = ["--output=%j.log", "--wait", _SCRIPT, "--ranks=2,3", "--weak=data.rows=60", "small.toml", "--out=out"]
    start = cluster.submit(
        *arguments, "--set=aggregator.beta=0.0", "--set=attack.alpha=0.0", folder=tmp_path, env=FAKE_CPUS
    )
    *sizes, last = _jobs(cluster, start.text(), tmp_path)
    assert last.wait(120)["JobState"] == "COMPLETED", last.text()
    assert [job.facts()["JobState"] for job in sizes] == ["COMPLETED", "COMPLETED"]
    assert "--set workers=2 --set data.rows=120" in sizes[1].text()
    assert status(tmp_path / "out" / "ranks-3") == ("finished", 40)
    assert "weak scaling" in last.text()
