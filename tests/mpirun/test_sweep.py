"""Runs side by side in one mpirun: the same bits as alone, and no crew ends with another."""

from __future__ import annotations

import csv
from pathlib import Path

from mpirobust.errors import Exit
from tests.support.alone import run_alone
from tests.support.launching import mpirobust
from tests.support.small_studies import PLAN
from tests.support.traces import assert_same


def test_two_crews_have_the_bits_of_runs_alone_and_go_on_where_one_fails(tmp_path: Path) -> None:
    """One start of MPI (5 s): two crews of two ranks, a fifth rank that waits, and a kind that fails at set-up."""
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    over = ["--over", "attack.kind=label-flip,gaussian", "--over", "seed=1..3"]
    places = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    done = mpirobust("sweep", str(plan), *over, *places, "--ranks-per-run", "2", ranks=5, timeout=60)
    assert done.returncode == Exit.SETUP, done.stderr
    assert "label-flip needs classes" in done.stderr
    with (tmp_path / "out" / "runs.csv").open() as file:
        runs = list(csv.DictReader(file))
    assert [run["status"] for run in runs] == 3 * ["failed"] + 3 * ["finished"]
    for run in runs[3:]:
        alone = run_alone(plan, tmp_path / f"alone-{run['seed']}", f"seed={run['seed']}")
        assert_same(alone, tmp_path / "runs" / run["run"])
