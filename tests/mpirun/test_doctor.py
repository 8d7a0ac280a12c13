"""The doctor under mpirun: one report, one code on all ranks, and an end, whatever the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpirobust.errors import Exit
from tests.support.launching import mpirobust


def test_one_report_of_all_ranks(tmp_path: Path) -> None:
    done = mpirobust("doctor", "--out", str(tmp_path), ranks=3)
    assert done.returncode == Exit.OK, done.stderr
    assert done.stdout.count("software") == 1
    assert "ranks 0-2 on " in done.stdout
    assert "OMPI_COMM_WORLD_SIZE = 3" in done.stdout
    assert "a round without content takes" in done.stdout
    assert done.stderr.count("if MPI hangs") == 1


def test_its_code_is_that_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = mpirobust("doctor", "--out", str(tmp_path / "file" / "below"), ranks=2)
    assert done.returncode == Exit.STORAGE, done.stderr
    assert "To change:\n- cannot write to" in done.stdout


@pytest.mark.parametrize(
    "variables",
    [
        {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"},
        {"PMI_SIZE": "3", "PMI_RANK": "1"},
        {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"},
        {"FLUX_JOB_SIZE": "2", "FLUX_TASK_RANK": "0"},
    ],
)
def test_variables_that_lie_end_it_at_once(variables: dict[str, str]) -> None:
    done = mpirobust("doctor", env=variables)
    assert done.returncode == Exit.SETUP
    assert "processes, but MPI sees one" in done.stderr
