"""The first lines of a job on many ranks: at once that they start, then on which machines, with which data."""

from __future__ import annotations

from pathlib import Path

from tests.support.launching import mpirobust
from tests.support.small_studies import PLAN


def test_the_first_lines_of_a_job_and_of_a_quiet_one(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    run = ("run", str(tmp_path / "plan.toml"))
    done = mpirobust(*run, "--out", str(tmp_path / "a"), "--log", str(tmp_path / "log"), ranks=3)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["starting 3 ranks", "3 ranks on 1 host for 10 workers; data: regression"]
    assert (tmp_path / "log").read_text().count("\n") == done.stdout.count("\n") + 2 + 5  # 5 details
    done = mpirobust(*run, "--out", str(tmp_path / "b"), "-q", ranks=3)
    assert (done.returncode, done.stderr) == (0, "")
