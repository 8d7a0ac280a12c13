"""Runs from a Python script under mpirun: as those of the command, and every rank has them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.deaths import program
from tests.support.launching import CONFIGS, finish, start

_QUICK = str(CONFIGS / "quickstart.toml")


def test_every_rank_has_the_bits_of_a_run_alone(tmp_path: Path) -> None:
    """And only here: several runs in one start of MPI; a fault is the same on all ranks, whoever has it."""
    said = {}
    for ranks in (None, 3):
        done = finish(start(*program("from_python", _QUICK, tmp_path / str(ranks)), ranks=ranks), timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        said[ranks] = sorted(json.loads(line) for line in done.stdout.splitlines())
    (alone,), several = said[None], said[3]
    assert [each[:2] for each in several] == 3 * [alone[:2]]
    faults = [
        f"SetupFault 2: {tmp_path}/None/1 holds a run; --resume continues it, --overwrite replaces it",
        "PlanFault 2: workers: 5000 workers for 4000 training rows; at most one per row",
    ]
    assert alone[2:] == faults
    of_ranks = [faults[0].replace("None", "3"), faults[1], "SetupFault 2: gone.toml: no such plan"]
    assert [each[2:] for each in several] == 3 * [of_ranks]


def test_a_rank_that_alone_has_a_fault_ends_the_job(tmp_path: Path) -> None:
    done = finish(start(*program("from_python", _QUICK, tmp_path, "failing"), ranks=3), timeout=60)
    assert done.returncode == 4
    assert "worker 5 failed in round 1: RuntimeError: the disk is on fire" in done.stderr
