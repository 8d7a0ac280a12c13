"""SIGKILL or a power cut in the middle of any write, then --resume: the bits of the undisturbed run.

A few hundred crashes in a minute or two; MPIROBUST_CRASHES=1 goes through every point in every way.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.crashes.sessions import (
    DYING,
    HERE,
    KILLED,
    PLAN,
    Session,
    Undisturbed,
    assert_whole,
    carry_out,
    crash_and_resume,
)
from tests.support.launching import finish, mpirobust, start

ALL = "MPIROBUST_CRASHES" in os.environ
WAYS = ("kill", "power", "names", "unlinks")
_LIBSVM = PLAN.replace('{ kind = "regression", rows = 48, features = 10 }', '{ kind = "libsvm", path = "rows.svm" }')


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The trace is written after every round."""
    return Undisturbed.of(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def rarely(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The trace is written at the beginning and at the end: checkpoints carry the rows."""
    return Undisturbed.of(tmp_path_factory.mktemp("rarely"), often=False)


@pytest.fixture(scope="module")
def parsing(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The data are a text, of which a store is made first."""
    folder = tmp_path_factory.mktemp("parsing")
    write_rows(folder, seed=1)
    return Undisturbed.of(folder, _LIBSVM)


def write_rows(folder: Path, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((48, 10))
    text = (" ".join([f"{np.sign(row[0]):+.0f}", *(f"{j + 1}:{x:.5f}" for j, x in enumerate(row))]) for row in rows)
    (folder / "rows.svm").write_text("\n".join(text) + "\n")


def chosen(run: Undisturbed, stride: int = 30, last: int | None = None) -> list[int]:
    """Points up to `last`: every step around the bytes, and every `stride`-th write of bytes."""
    writes = run.where("write")
    around = sorted(set(range(len(run.points))) - set(writes))
    return [at for at in sorted([*around, *writes[:: 4 if ALL else stride]]) if last is None or at <= last]


def in_turn(run: Undisturbed, points: list[int], thorough: bool = False) -> list[tuple[int, str]]:
    """Each point in one of the ways; in all of them where all are asked for, and if `thorough` around each rename."""
    crashes = []
    for n, at in enumerate(points):
        naming = run.points[at].startswith(("fsync", "rename"))
        ways = WAYS if ALL or (thorough and naming) else (WAYS[n % len(WAYS)],)
        crashes += [(at, how) for how in ways]
    return crashes


def test_the_points_are_all_the_ways_to_write(
    undisturbed: Undisturbed, rarely: Undisturbed, parsing: Undisturbed
) -> None:
    for step in ("mkstemp", "fsync-file", "rename", "fsync-folder"):
        for run, traces in ((undisturbed, 9), (parsing, 9), (rarely, 2)):
            assert len(run.where(step, "run.h5")) == traces
            assert len(run.where(step, "checkpoint")) == 3
            assert len(run.where(step, "rows.svm")) == (run is parsing)
    assert {"write run.h5", "write checkpoint-000000006.h5", "unlink checkpoint-000000003.h5"} < set(rarely.points)
    assert any(point.startswith("write rows.svm") for point in parsing.points)


@pytest.mark.parametrize("half", [0, 1])
def test_all_over_a_run(half: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Deaths in every kind of write of a run whose trace is written after every round."""
    crash_and_resume(undisturbed, tmp_path, in_turn(undisturbed, chosen(undisturbed))[half::2])


def test_all_over_a_run_with_the_trace_in_its_checkpoints(rarely: Undisturbed, tmp_path: Path) -> None:
    """The same where the trace on disk is old: checkpoints carry its rows."""
    crash_and_resume(rarely, tmp_path, in_turn(rarely, chosen(rarely), thorough=True))


def test_with_states_at_both_ends(tmp_path: Path) -> None:
    """Compressed differences: a checkpoint gives back what the workers keep and what the center keeps of them."""
    run = Undisturbed.of(tmp_path, PLAN.replace('"residual"', '"difference"'), often=False)
    after = [at + 1 for at in run.where("fsync-folder", "checkpoint")]
    crash_and_resume(run, tmp_path, [(at, how) for at in after for how in ("kill", "power")])


def test_while_the_data_are_prepared(parsing: Undisturbed, tmp_path: Path) -> None:
    """Deaths before the first round: the cache holds whole stores or none."""
    last = parsing.where("open", "run.lock")[0]
    crash_and_resume(parsing, tmp_path, in_turn(parsing, chosen(parsing, stride=10, last=last), thorough=True))


@pytest.mark.parametrize("seed", range(5 if ALL else 1))
def test_killed_again_while_it_resumes(seed: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Every session dies after some of its writes, until one lives."""
    chance = np.random.default_rng(seed)
    outs = [tmp_path / str(n) for n in range(10)]
    sessions = []
    for out in outs:
        places = [(int(chance.integers(40, 250)), str(chance.choice(WAYS))) for _ in range(4)]
        sessions += [*(Session(out, at, how) for at, how in places), Session(out)]
    done = carry_out(undisturbed.plan, sessions)
    assert sum(each.code == KILLED for each in done) >= 3 * len(outs)
    for out, last in zip(outs, done[4::5], strict=True):
        assert last.code == 0, last.said
        assert_whole(undisturbed, out)


@pytest.mark.parametrize("other", ["plan", "data"])
def test_killed_while_it_overwrites(other: str, parsing: Undisturbed, tmp_path: Path) -> None:
    """What is left is the older run, which is not continued as if it were this one, or this run.

    With the same plan on other data no checkpoint of the older run may be taken for one of this.
    """
    plan, older = tmp_path / "plan.toml", tmp_path / "older.toml"
    plan.write_text(_LIBSVM)
    older.write_text(_LIBSVM.replace("step = 0.05", "step = 0.04") if other == "plan" else _LIBSVM)
    write_rows(tmp_path, seed=1 if other == "plan" else 2)
    (end,) = carry_out(older, [Session(tmp_path / "older", often=False)])  # its checkpoints need no other trace
    assert end.code == 0, end.said
    write_rows(tmp_path, seed=1)
    crashes = [(at, how) for at in overwriting(plan, tmp_path) for how in WAYS]
    sessions = []
    for at, how in crashes:
        out = tmp_path / f"{how}-{at}"
        shutil.copytree(tmp_path / "older", out)
        sessions += [Session(out, at, how, ("--overwrite",)), Session(out)]
    done = carry_out(plan, sessions)
    why = {
        "plan": "holds a run of another plan: algorithm.step was 0.04, is 0.05",
        "data": "the data have changed since",
    }
    refused = 0
    for (at, how), dead, resumed in zip(crashes, done[::2], done[1::2], strict=True):
        where = f"{how} at {at}"
        assert dead.code == KILLED, f"{where}: {dead.said}"
        if resumed.code == 0:
            assert_whole(parsing, tmp_path / f"{how}-{at}")
        else:
            refused += 1
            assert resumed.code == 2, f"{where}: {resumed.said}"
            assert why[other] in resumed.said, f"{where}: {resumed.said}"
    assert 0 < refused < len(crashes)
    folders = [tmp_path / f"{how}-{at}" for at, how in crashes]
    for folder, anew in zip(
        folders, carry_out(plan, [Session(out, more=("--overwrite",)) for out in folders]), strict=True
    ):
        assert anew.code == 0, f"{folder.name}: {anew.said}"
        assert_whole(parsing, folder)


def overwriting(plan: Path, folder: Path) -> list[int]:
    """The points of a run over the older one, from the first that is removed until its own first trace stands."""
    out = folder / "whole"
    shutil.copytree(folder / "older", out)
    (whole,) = carry_out(plan, [Session(out, more=("--overwrite",))])
    assert whole.code == 0, whole.said
    first = next(n for n, point in enumerate(whole.points) if point.startswith("unlink checkpoint"))
    last = whole.points.index("rename run.h5") + 3
    return [n for n in range(first, last) if ALL or not whole.points[n].startswith("write") or n % 30 == 0]


@pytest.mark.parametrize(
    ("step", "file", "nth", "how", "ranks", "then"),
    [
        ("rename", "checkpoint", 1, "power", 3, None),
        ("write", "run.h5", 5, "kill", None, 3),
        ("fsync-folder", "run.h5", 5, "names", 3, 2),
        ("write", "checkpoint", 80, "kill", 3, 5),
        ("unlink", "checkpoint", 0, "unlinks", 2, 7),
        ("fsync-file", "checkpoint", 2, "names", 5, 3),
    ],
)
def test_on_several_ranks(
    step: str,
    file: str,
    nth: int,
    how: str,
    ranks: int | None,
    then: int | None,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    """All ranks die at once."""
    at = undisturbed.where(step, file)[nth]
    out = tmp_path / "out"
    arguments = ["run", str(undisturbed.plan), "--out", str(out)]
    died = finish(start(DYING, str(at), how, "--", *arguments, ranks=ranks, env=HERE), timeout=120)
    assert died.returncode != 0
    assert "finished" not in died.stdout
    done = mpirobust(*arguments, "--resume", ranks=then)
    assert done.returncode == 0, done.stderr
    assert_whole(undisturbed, out)
    with h5py.File(out / "run.h5") as trace:
        assert len(trace.attrs["hosts"].split()) == (then or 1)
