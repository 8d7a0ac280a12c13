"""Ranks whose BLAS uses other kernels: it is said, and recorded."""

from __future__ import annotations

import platform
from pathlib import Path

import h5py
import pytest

from mpirobust.errors import Exit
from mpirobust.numerics.blas import limit_threads, mixed
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone
from tests.support.deaths import program
from tests.support.launching import finish, start

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or "openblas" not in limit_threads(), reason="needs core types of OpenBLAS"
)


def test_ranks_on_other_processors_are_named_and_so_is_a_break(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(regression_plan(algorithm={"kind": "first-order", "rounds": 3, "step": 0.1}).toml())
    done = finish(start(*program("other_processor", "run", plan, "--out", out), ranks=3), 60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("note: the ranks use different kernels of BLAS") == 1
    assert "ranks 0, 2: " in done.stderr
    assert "rank 1: " in done.stderr
    with h5py.File(out / "run.h5") as run:
        before = run.attrs["blas"]
    assert mixed(before)
    assert command_alone("resume", str(out), "--set", "algorithm.rounds=4") == 0
    said = capsys.readouterr().err
    assert said.count(f"note: BLAS used {before}, and now uses ") == 1
    assert command_alone("resume", str(out), "--set", "algorithm.rounds=5") == 0
    assert "BLAS" not in capsys.readouterr().err


def test_redundant_workers_are_refused_there(tmp_path: Path) -> None:
    """Honest workers of a group would send other bytes."""
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(regression_plan(redundancy=3).toml())
    done = finish(start(*program("other_processor", "run", plan, "--out", out), ranks=3), 60)
    assert done.returncode == Exit.SETUP
    assert (
        done.stderr.count("redundancy: the ranks use different kernels of BLAS, so honest workers of a group may") == 1
    )
