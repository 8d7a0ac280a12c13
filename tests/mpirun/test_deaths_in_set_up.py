"""A rank that dies before the first round: the job ends with one message and code 6, and starts again."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from mpirobust.records.layout import LOCK
from tests.mpirun.test_deaths import ULFM, assert_same, plan_of
from tests.support.launching import finish, mpirobust, start

# How a rank dies at a chosen instant; argv: the instant, the rank, then what goes to mpirobust.
_DYING = """
import os, signal, sys, time
from threading import Timer

instant, doomed = sys.argv[1], int(sys.argv[2])
sys.argv = ["mpirobust", *sys.argv[3:]]
mine = int(os.environ["OMPI_COMM_WORLD_RANK"])

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Deadly:
    def find_spec(self, name, *_):
        if name == "mpirobust.run.setup":
            die()

def dying_soon(method):
    def call(*arguments):
        Timer(0.5, die).start()
        return method(*arguments)
    return call

def slow(method):
    def call(*arguments):
        time.sleep(1.5)
        return method(*arguments)
    return call

def last(method):
    def call(*arguments):
        method(*arguments)
        die()
    return call

from mpirobust import cli
if instant == "before MPI starts":
    from mpirobust.comm import launch
    launch._START_SECONDS = 3
    if mine == doomed:
        die()
elif instant == "while it imports":
    if mine == doomed:
        sys.meta_path.insert(0, Deadly())
else:
    cli._world()  # as a command starts MPI
    from mpirobust import lead, local
    from mpirobust.comm.mpi import MpiCommunicator
    if mine == doomed:
        if instant == "when MPI has started":
            die()
        elif instant == "while it assembles":
            local._build_workers = die
        elif instant == "while the center restores" and mine:
            MpiCommunicator.gather = dying_soon(MpiCommunicator.gather)
        elif instant == "while the center restores":
            lead.restore = last(lead.restore)
    elif mine == 0 and instant == "while the center restores":
        lead.restore = slow(lead.restore)

cli.main()
"""

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
    plan = str(plan_of(folder))
    assert mpirobust("run", plan, "--out", str(folder / "whole")).returncode == 0
    begun = ("--out", str(folder / "begun"), "--set", "algorithm.rounds=10")
    assert mpirobust("run", plan, *begun).returncode == 0
    return folder


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("instant", _INSTANTS)
def test_a_resumed_run(instant: str, rank: int, undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "begun", tmp_path / "out")
    assert_ends_and_starts_again(instant, rank, undisturbed, tmp_path, "--resume")


@pytest.mark.parametrize("rank", [0, 2])
def test_before_mpi_starts(rank: int, undisturbed: Path, tmp_path: Path) -> None:
    """Nobody can be told, and MPI waits for the dead: the job ends all the same."""
    command = ["run", str(undisturbed / "plan.toml"), "--out", str(tmp_path / "out")]
    dying = script_of(tmp_path, "before MPI starts", rank)
    done = finish(start(*dying, *command, ranks=4, options=ULFM), timeout=60)
    assert done.returncode == signal.SIGALRM
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rank", [0, 2])
def test_a_new_run(rank: int, undisturbed: Path, tmp_path: Path) -> None:
    assert_ends_and_starts_again("while the center restores", rank, undisturbed, tmp_path)


def assert_ends_and_starts_again(instant: str, rank: int, undisturbed: Path, tmp_path: Path, *options: str) -> None:
    plan, out = undisturbed / "plan.toml", tmp_path / "out"
    before = contents(out)
    command = ["run", str(plan), "--out", str(out), *options]
    dying = script_of(tmp_path, instant, rank)
    done = finish(start(*dying, *command, ranks=4, options=ULFM), timeout=60)
    if rank:
        said = f"rank {rank} died outside of a round"
    else:
        said = "rank 0, the center, died; another start goes on from the newest checkpoint"
    assert done.returncode == 6, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")] == [f"mpirobust: {said}"]
    assert "Traceback" not in done.stderr
    assert contents(out) == before
    assert mpirobust(*command, ranks=3).returncode == 0
    assert_same(undisturbed / "whole", out)


def script_of(folder: Path, instant: str, rank: int) -> tuple[str, ...]:
    """What runs `mpirobust` with the arguments behind it, and in it this rank to its death."""
    script = folder / "dying.py"
    script.write_text(_DYING)
    return str(script), instant, str(rank)


def contents(folder: Path) -> dict[str, bytes]:
    """What is in the files of a run; the lock says nothing."""
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != LOCK}
