"""A rank that dies before the first round: the job ends with one message and code 6, and starts again."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.support.alone import run_alone
from tests.support.cases import in_turn
from tests.support.deaths import ULFM, plan_of, program
from tests.support.launching import finish, start
from tests.support.traces import assert_same, contents

_INSTANTS = [
    "when MPI has started",
    "while it imports",
    "while it assembles",
    "while the center restores",
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan, and runs of it: to the end, and of the first ten rounds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    plan = plan_of(folder)
    run_alone(plan, folder / "whole")
    run_alone(plan, folder / "begun", "algorithm.rounds=10")
    return folder


@pytest.mark.parametrize(("instant", "rank"), in_turn(_INSTANTS, (0, 2)))
def test_a_resumed_run(instant: str, rank: int, undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "begun", tmp_path / "out")
    assert_ends_and_starts_again(instant, rank, undisturbed, tmp_path, "--resume")


@pytest.mark.parametrize(
    ("instant", "rank"),
    [
        pytest.param("before MPI starts", 0, marks=pytest.mark.system),
        ("before MPI starts", 2),
        ("in the first call", 2),
    ],
)
def test_nobody_is_told(instant: str, rank: int, undisturbed: Path, tmp_path: Path) -> None:
    """MPI waits for the dead: the job ends all the same."""
    command = ["run", str(undisturbed / "plan.toml"), "--out", str(tmp_path / "out")]
    dying = program("doomed_early", tmp_path, instant, rank)
    done = finish(start(*dying, *command, ranks=4, options=ULFM), timeout=60)
    assert done.returncode == signal.SIGALRM
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("instant", "rank"), in_turn(["while the center restores"], (0, 2)))
def test_a_new_run(instant: str, rank: int, undisturbed: Path, tmp_path: Path) -> None:
    assert_ends_and_starts_again(instant, rank, undisturbed, tmp_path)


def assert_ends_and_starts_again(instant: str, rank: int, undisturbed: Path, tmp_path: Path, *options: str) -> None:
    plan, out = undisturbed / "plan.toml", tmp_path / "out"
    before = contents(out)
    command = ["run", str(plan), "--out", str(out), *options]
    dying = program("doomed_early", tmp_path, instant, rank)
    done = finish(start(*dying, *command, ranks=4, options=ULFM), timeout=60)
    if rank:
        said = f"rank {rank} died outside of a round"
    else:
        said = "rank 0, the center, died; another start goes on from the newest checkpoint"
    assert done.returncode == 6, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")] == [f"mpirobust: {said}"]
    assert "Traceback" not in done.stderr
    assert contents(out) == before
    run_alone(plan, out, resume="--resume" in options)
    assert_same(undisturbed / "whole", out)
