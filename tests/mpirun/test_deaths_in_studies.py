"""A rank dies in a study: the run at hand goes on without it, the next with all workers on the ranks that are left."""

from __future__ import annotations

import tomllib
from pathlib import Path

import h5py
import pytest

from tests.mpirun.test_deaths import ULFM, assert_same
from tests.support.launching import finish, mpirobust, start
from tests.support.small_studies import PLAN

# A rank dies in round 5 of the first run, or after that run, or in the last broadcast.
_DYING = """
import os, signal, sys
from mpirobust import cli
cli._world()  # as a command starts MPI
from mpirobust.comm.mpi import MpiCommunicator, MpiCommunicator
from mpirobust.studies import figures
from mpirobust.cluster.worker import Worker

instant, rank = sys.argv.pop(1).split(", rank ")
doomed = os.environ["OMPI_COMM_WORLD_RANK"] == rank

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def in_a_round(method):
    def reply(self, round, query):
        return die() if round == 4 else method(self, round, query)
    return reply

def after(method):
    def serve(*arguments):
        method(*arguments)
        die()
    return serve

if doomed and instant == "in a run":
    Worker.reply = in_a_round(Worker.reply)
elif doomed and instant == "between runs":
    MpiCommunicator.serve = after(MpiCommunicator.serve)
elif doomed:
    carry_out = figures.carry_out
    def then(*arguments):
        code = carry_out(*arguments)
        MpiCommunicator.broadcast = die
        return code
    figures.carry_out = then
cli.main()
"""
_FAMILY = """
title = "two runs"
plan = "plan.toml"
metric = "distance"
seeds = [1, 2]
[[curves]]
label = "trimmed"
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of two runs, and what starts it with a rank that dies."""
    folder = tmp_path / "family"
    folder.mkdir()
    (folder / "plan.toml").write_text(PLAN.replace("beta = 0.3", "beta = 0.45").replace("alpha = 0.2", "alpha = 0.1"))
    (folder / "figure-1.toml").write_text(_FAMILY)
    (tmp_path / "dying.py").write_text(_DYING)
    return folder


def traces(runs: Path) -> dict[int, Path]:
    """The folders of the runs that are finished, by seed."""
    found = {}
    for path in runs.glob("*/run.h5"):
        with h5py.File(path) as run:
            if run.attrs["status"] == "finished":
                found[tomllib.loads(run.attrs["plan"])["seed"]] = path.parent
    return found


def test_in_a_run(study: Path, tmp_path: Path) -> None:
    done = finish(start(*command(study, tmp_path, "in a run, rank 2"), ranks=4, options=ULFM), timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rank 2 died in round 5; workers 3-5: absent from now on") == 1
    assert_as_undisturbed(study, tmp_path, disturbed=1)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("beta = 0.45", "beta = 0.2", "too many workers are lost: the same command goes on"),
        (
            "workers = 10",
            'workers = 10\non_failure = "stop"',
            'mpirobust: rank 2 died in round 5 (on_failure = "stop"); another start goes on from the newest checkpoint',
        ),
    ],
    ids=["too many", "stop"],
)
def test_a_run_that_cannot_go_on_ends_the_study(
    before: str, after: str, said: str, study: Path, tmp_path: Path
) -> None:
    plan = study / "plan.toml"
    plan.write_text(plan.read_text().replace(before, after))
    done = finish(start(*command(study, tmp_path, "in a run, rank 2"), ranks=4, options=ULFM), timeout=90)
    assert done.returncode == 6, done.stderr
    assert done.stderr.splitlines().count(said) == 1
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_between_two_runs(study: Path, tmp_path: Path) -> None:
    done = finish(start(*command(study, tmp_path, "between runs, rank 2"), ranks=4, options=ULFM), timeout=90)
    assert done.returncode == 6, done.stderr
    assert done.stderr.count("rank 2 died outside of a round") == 1
    assert len(traces(tmp_path / "runs")) == 1
    again = mpirobust(*command(study, tmp_path, "")[2:], ranks=3)
    assert again.returncode == 0, again.stderr
    assert_as_undisturbed(study, tmp_path)


def test_what_some_have_not_heard_nobody_has(study: Path, tmp_path: Path) -> None:
    """Rank 1 passes on what the center says last, unless the library has another way."""
    done = finish(start(*command(study, tmp_path, "at the end, rank 1"), ranks=4, options=ULFM), timeout=90)
    said = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    assert (done.returncode, said) in [(6, ["mpirobust: rank 1 died outside of a round"]), (0, [])]


def command(study: Path, folder: Path, instant: str) -> list[str]:
    places = ["--out", str(folder / "figures"), "--runs", str(folder / "runs")]
    return [str(folder / "dying.py"), instant, "figures", str(study), *places]


def assert_as_undisturbed(study: Path, folder: Path, disturbed: int = 0) -> None:
    """All runs but the disturbed one are those of a study that nothing happened to."""
    places = ["--out", str(folder / "other-figures"), "--runs", str(folder / "other-runs")]
    assert mpirobust("figures", str(study), *places).returncode == 0
    expected, found = traces(folder / "other-runs"), traces(folder / "runs")
    assert expected.keys() == found.keys() == {1, 2}
    for seed in expected.keys() - {disturbed}:
        assert_same(expected[seed], found[seed])
