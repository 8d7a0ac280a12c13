"""SIGKILL or a power cut in the middle of any write, then --resume: the bits of the undisturbed run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.launching import REPOSITORY, finish, mpirobust, start
from tests.mpirun.test_rank_count import SAME

_DYING = str(REPOSITORY / "tests" / "crashes" / "dying.py")
_HERE = {"PYTHONPATH": str(REPOSITORY)}  # a script finds the package that stands beside the tests
_KILLED = -9
_PLAN = """
seed = 3
workers = 6
feedback = "residual"
data = { kind = "regression", rows = 48, features = 10 }
problem.kind = "least-squares"
algorithm = { kind = "first-order", rounds = 7, step = 0.05 }
compressor.kind = "l1-qsgd"
aggregator = { kind = "norm-trim", beta = 0.25 }
attack = { kind = "gaussian", alpha = 0.2 }
audit.every = 2
checkpoint.every = 3
"""


LONG = pytest.mark.skipif("MPIROBUST_CRASHES" not in os.environ, reason="a quarter of an hour: MPIROBUST_CRASHES=1")


@dataclass(frozen=True)
class Session:
    """One start of `mpirobust run`, to die at the write point `at`; -1 to live."""

    out: Path
    at: int = -1
    how: str = "kill"
    more: tuple[str, ...] = ("--resume",)


@dataclass(frozen=True)
class Undisturbed:
    """The run that all others must equal, the write points that it passed, and its plan."""

    folder: Path
    points: list[str]
    plan: Path


def carry_out(plan: Path, *sessions: Session) -> list[dict[str, Any]]:
    """Exit code (minus the signal), output and passed write points of each, one after the other."""
    jobs = [(each.at, each.how, ["run", str(plan), "--out", str(each.out), *each.more]) for each in sessions]
    env = {**os.environ, **_HERE, "OPENBLAS_NUM_THREADS": "1"}  # it forks: there must be one thread
    done = subprocess.run(
        [sys.executable, _DYING], input=json.dumps(jobs), capture_output=True, text=True, env=env, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    plan = folder / "plan.toml"
    plan.write_text(_PLAN)
    (done,) = carry_out(plan, Session(folder / "run"))
    assert done["code"] == 0, done["said"]
    return Undisturbed(folder / "run", done["points"], plan)


def assert_whole(undisturbed: Undisturbed, folder: Path) -> None:
    with h5py.File(undisturbed.folder / "run.h5") as expected, h5py.File(folder / "run.h5") as found:
        assert found.attrs["status"] == "finished"
        for column in [*SAME, "rounds/round", "audits/round"]:
            np.testing.assert_array_equal(found[column][:], expected[column][:], err_msg=column)
    expected, found = ({path.name for path in each.iterdir()} for each in (undisturbed.folder, folder))
    assert expected <= found
    assert found - expected <= {"checkpoint-000000003.h5"}, "only an older checkpoint may be left over"


def crash_and_resume(undisturbed: Undisturbed, folder: Path, crashes: list[tuple[int, str]]) -> None:
    """A run for each of `crashes` that dies there and is resumed; every one must equal the undisturbed run."""
    sessions = []
    for at, how in crashes:
        sessions += [Session(folder / f"{how}-{at}", at, how), Session(folder / f"{how}-{at}")]
    done = carry_out(undisturbed.plan, *sessions)
    for dead, alive in zip(sessions[::2], done[1::2], strict=True):
        where = f"{dead.how} at {dead.at}, {undisturbed.points[dead.at]}"
        assert alive["code"] == 0, f"{where}: {alive['said']}"
        try:
            assert_whole(undisturbed, dead.out)
        except AssertionError as error:
            raise AssertionError(where) from error
        shutil.rmtree(dead.out)
    assert [each["code"] for each in done[::2]] == [_KILLED] * len(crashes)


def test_the_points_are_all_the_ways_to_write(undisturbed: Undisturbed) -> None:
    files = ["mkstemp", "hdf5 open", "hdf5 close", "fsync file", "rename", "fsync folder"]
    assert {undisturbed.points.count(name) for name in files} == {12}  # nine traces, three checkpoints
    assert {"hdf5 create", "hdf5 create_dataset", "hdf5 resize", "hdf5 __setitem__"} < set(undisturbed.points)
    assert (
        undisturbed.points.count("unlink") == 12 + 1 + 1
    )  # scratch files; the oldest checkpoint; the folder's old trace


def test_some_points(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """One of each kind of write, and all around a rename."""
    points = undisturbed.points
    last = [len(points) - 1 - points[::-1].index(name) for name in set(points) if points.count(name) >= 12]
    crashes = [(at, ("kill", "power")[n % 2]) for n, at in enumerate(sorted(last))]
    trace = [at for at, name in enumerate(points) if name == "rename"][6]
    crashes += [(at, "power") for at in (trace, trace + 1, trace + 2)]
    crash_and_resume(undisturbed, tmp_path, crashes)


@LONG
@pytest.mark.parametrize("how", ["kill", "power"])
def test_all_over_the_run(how: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    within = [at for at, name in enumerate(undisturbed.points) if name.startswith("hdf5 c")]
    outside = sorted(set(range(len(undisturbed.points))) - set(within))
    chosen = [*outside, *within[::13]] if how == "power" else [*outside[::3], *within[::11]]
    crashes = [(at, how) for at in sorted(chosen)]
    assert len(crashes) > {"power": 150, "kill": 80}[how]
    crash_and_resume(undisturbed, tmp_path, crashes)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=LONG)])
def test_killed_again_while_it_resumes(seed: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Every session dies after some of its writes, until one lives."""
    chance = np.random.default_rng(seed)
    count = 3 if seed == 0 else 40
    sessions = []
    for n in range(count):
        out = tmp_path / str(n)
        places = [(int(chance.integers(60, 330)), str(chance.choice(["kill", "power"]))) for _ in range(3)]
        sessions += [*(Session(out, at, how) for at, how in places), Session(out)]
    done = carry_out(undisturbed.plan, *sessions)
    assert sum(each["code"] == _KILLED for each in done) > count
    for n in range(count):
        assert done[4 * n + 3]["code"] == 0, done[4 * n + 3]["said"]
        assert_whole(undisturbed, tmp_path / str(n))


@pytest.mark.parametrize("stride", [400, pytest.param(10, marks=LONG)])
def test_killed_while_it_overwrites(stride: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """What is left is the older run, which is not continued as if it were this one, or this run."""
    older = undisturbed.folder.parent / "older.toml"
    older.write_text(_PLAN.replace("step = 0.05", "step = 0.04"))
    carry_out(older, Session(tmp_path / "older"))
    points = [*range(1, 8, 3), *range(8, len(undisturbed.points), stride)]
    sessions = []
    for at in points:
        out = tmp_path / str(at)
        shutil.copytree(tmp_path / "older", out)
        sessions += [Session(out, at, "power", ("--overwrite",)), Session(out), Session(out, more=("--overwrite",))]
    refused = 0
    for at, (dead, resumed, anew) in zip(points, _threes(carry_out(undisturbed.plan, *sessions)), strict=True):
        assert dead["code"] == _KILLED, dead["said"]
        assert resumed["code"] in (0, 2), resumed["said"]
        if resumed["code"] == 2:
            refused += 1
            assert "holds a run of another plan: algorithm.step was 0.04, is 0.05" in resumed["said"]
        assert anew["code"] == 0
        assert_whole(undisturbed, tmp_path / str(at))
    assert 0 < refused < len(points)


def _threes(done: list[dict[str, Any]]) -> list[tuple[dict[str, Any], ...]]:
    return [tuple(done[n : n + 3]) for n in range(0, len(done), 3)]


@pytest.mark.parametrize(
    ("name", "nth", "how", "ranks", "then"),
    [
        ("rename", 6, "power", 3, None),
        ("write", 5, "kill", None, 3),
        pytest.param("fsync folder", 6, "power", 3, 2, marks=LONG),
        pytest.param("hdf5 __setitem__", 8, "kill", 3, 5, marks=LONG),  # while the residuals cross
        pytest.param("unlink", 12, "power", 2, 7, marks=LONG),
        pytest.param("fsync file", 11, "power", 7, 3, marks=LONG),
    ],
)
def test_on_several_ranks(
    name: str, nth: int, how: str, ranks: int | None, then: int | None, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    at = [n for n, point in enumerate(undisturbed.points) if point == name][nth]
    out = tmp_path / "out"
    arguments = ["run", str(undisturbed.plan), "--out", str(out)]
    died = finish(start(_DYING, str(at), how, "--", *arguments, ranks=ranks, env=_HERE), timeout=60)
    assert died.returncode != 0
    assert "finished" not in died.stdout
    done = mpirobust(*arguments, "--resume", ranks=then)
    assert done.returncode == 0, done.stderr
    assert_whole(undisturbed, out)
