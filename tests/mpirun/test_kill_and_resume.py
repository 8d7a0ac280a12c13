"""SIGKILL at any instant, then --resume on another number of ranks: the bits of the undisturbed run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.mpirun.test_rank_count import SAME
from tests.support.launching import finish, kill_group, mpirobust, start

_PLAN = """
seed = 11
workers = 20
feedback = "residual"
[data]
kind = "regression"
rows = 800
features = 120
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = {rounds}
step = 0.02
batch = 20
[compressor]
kind = "topk"
k = 12
[aggregator]
kind = "norm-trim"
beta = 0.2
[attack]
kind = "gaussian"
alpha = 0.15
[audit]
every = 10
[checkpoint]
every = 30
"""

_KILLS = 10


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(_PLAN.format(rounds=3000))
    return path


def assert_same(one: Path, other: Path) -> None:
    with h5py.File(one / "run.h5") as expected, h5py.File(other / "run.h5") as found:
        assert found.attrs["status"] == "finished"
        for column in SAME:
            np.testing.assert_array_equal(found[column][:], expected[column][:], err_msg=column)


def test_killed_again_and_again(plan: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    assert mpirobust("run", str(plan), "--out", str(undisturbed)).returncode == 0
    seed = random.randrange(2**32)
    print(f"random.Random({seed})")
    chance = random.Random(seed)
    kills, lives = 0, 0
    folder = tmp_path / "killed-0"
    while kills < _KILLS:
        ranks = [3, None, 2, 5][kills % 4]
        process = start("-m", "mpirobust", "run", str(plan), "--out", str(folder), "--resume", ranks=ranks)
        time.sleep(chance.uniform(0.0, 3.0))
        in_time = process.poll() is None
        kill_group(process)
        process.communicate()
        if in_time:
            kills += 1
            assert_whole(folder / "run.h5")
        else:
            assert_same(undisturbed, folder)
            lives += 1
            folder = tmp_path / f"killed-{lives}"
    done = mpirobust("run", str(plan), "--out", str(folder), "--resume", ranks=4)
    assert done.returncode == 0, done.stderr
    assert_same(undisturbed, folder)
    assert not list(folder.glob(".*")), "leftovers of killed writes"


def assert_whole(path: Path) -> None:
    if path.exists():
        with h5py.File(path) as trace:
            assert trace["rounds/round"].size == trace.attrs["rounds"]


@pytest.mark.parametrize(("ranks", "feedback"), [(None, "residual"), (3, "difference")])
def test_signal_checkpoints_and_exits_75(ranks: int | None, feedback: str, plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text().replace('feedback = "residual"', f'feedback = "{feedback}"'))
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "signalled"
    assert mpirobust("run", str(plan), "--out", str(undisturbed)).returncode == 0
    command = ("-m", "mpirobust", "run", str(plan), "--out", str(folder), "--resume")
    process = start(*command, ranks=ranks)
    deadline = time.monotonic() + 60
    while not list(folder.glob("checkpoint-*.h5")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    stopped = finish(process, timeout=60)
    assert stopped.returncode == 75, stopped.stderr
    with h5py.File(folder / "run.h5") as trace:
        assert trace.attrs["status"] == "interrupted"
        assert 0 < trace.attrs["rounds"] < 3000
        assert (folder / f"checkpoint-{trace.attrs['rounds']:09d}.h5").exists()
    assert len(list(folder.glob("checkpoint-*.h5"))) == 2
    done = finish(start(*command, ranks=2), timeout=120)
    assert done.returncode == 0, done.stderr
    assert_same(undisturbed, folder)


def test_resume_of_a_finished_run_changes_nothing_and_more_rounds_go_on(plan: Path, tmp_path: Path) -> None:
    folder, longer = tmp_path / "folder", tmp_path / "longer"
    plan.write_text(_PLAN.format(rounds=50))
    assert mpirobust("run", str(plan), "--out", str(folder)).returncode == 0
    with h5py.File(folder / "run.h5") as trace:
        before = trace["model/x"][:]
    assert mpirobust("run", str(plan), "--out", str(folder), "--resume").returncode == 0
    with h5py.File(folder / "run.h5") as trace:
        np.testing.assert_array_equal(trace["model/x"][:], before)
        assert trace["rounds/round"].size == 50
    more = ("--set", "algorithm.rounds=80")
    assert mpirobust("run", str(plan), "--out", str(folder), "--resume", *more).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(longer), *more).returncode == 0
    assert_same(longer, folder)


def test_damaged_checkpoints_are_passed_over_and_do_not_outlive_new_ones(plan: Path, tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "damaged"
    plan.write_text(_PLAN.format(rounds=100))
    for out in (undisturbed, folder):
        assert mpirobust("run", str(plan), "--out", str(out)).returncode == 0
    newest = folder / "checkpoint-000000100.h5"
    newest.write_bytes(newest.read_bytes()[:-100])
    more = ("--resume", "--set", "algorithm.rounds=130")
    done = mpirobust("run", str(plan), "--out", str(folder), *more)
    assert done.returncode == 0, done.stderr
    assert "passed over" in done.stderr
    assert mpirobust("run", str(plan), "--out", str(undisturbed), *more).returncode == 0
    with h5py.File(undisturbed / "run.h5") as expected, h5py.File(folder / "run.h5") as found:
        np.testing.assert_array_equal(found["model/x"][:], expected["model/x"][:])
    for path in folder.glob("checkpoint-*.h5"):
        path.write_bytes(b"")
    again = mpirobust("run", str(plan), "--out", str(folder), *more)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("passed over") == 2
    assert sorted(path.name for path in folder.glob("*.h5")) == [
        "checkpoint-000000120.h5",
        "checkpoint-000000130.h5",
        "run.h5",
    ]


def test_a_run_is_never_overwritten_or_continued_by_mistake(plan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    plan.write_text(_PLAN.format(rounds=50))
    assert mpirobust("run", str(plan), "--out", str(folder)).returncode == 0
    before = (folder / "run.h5").read_bytes()
    again = mpirobust("run", str(plan), "--out", str(folder))
    assert again.returncode == 2
    assert "--resume" in again.stderr
    other = mpirobust("run", str(plan), "--out", str(folder), "--resume", "--set", "algorithm.step=0.01")
    assert other.returncode == 2
    assert "algorithm.step was 0.02, is 0.01" in other.stderr
    assert (folder / "run.h5").read_bytes() == before


@pytest.mark.parametrize("two_rounds", ["true", "false"])
def test_cubic_newton_goes_on_from_between_its_rounds(two_rounds: str, plan: Path, tmp_path: Path) -> None:
    """Checkpoints after rounds 9 and 12; the newest is lost, and round 9 of two rounds has a gradient and no step."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "resumed"
    cubic = f'kind = "cubic-newton"\nM = 10.0\ntwo_rounds = {two_rounds}\nhessian_batch = 20\nmomentum = 0.5'
    text = _PLAN.format(rounds=12).replace('kind = "first-order"', cubic).replace("every = 30", "every = 3")
    text = text.replace("step = 0.02\nbatch = 20", "").replace('feedback = "residual"', "")
    plan.write_text(text)
    for out in (undisturbed, folder):
        assert mpirobust("run", str(plan), "--out", str(out)).returncode == 0
    (folder / "checkpoint-000000012.h5").unlink()
    done = mpirobust("run", str(plan), "--out", str(folder), "--resume", ranks=3)
    assert done.returncode == 0, done.stderr
    assert "passed over" not in done.stderr
    assert_same(undisturbed, folder)


@pytest.mark.parametrize(("feedback", "ranks"), [("difference", (5, 3)), ("residual", (3, None)), ("none", (None, 4))])
def test_what_is_remembered_goes_on_on_other_ranks(
    feedback: str, ranks: tuple[int | None, int | None], plan: Path, tmp_path: Path
) -> None:
    """Of rule, attacker and feedback: from round 9, when the checkpoint of round 12 is lost."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "resumed"
    rule = 'kind = "nnm"\nbeta = 0.2\nrule = { kind = "centered-clipping", radius = 0.5, start = "previous" }'
    text = _PLAN.format(rounds=12).replace('kind = "norm-trim"\nbeta = 0.2', rule).replace("every = 30", "every = 3")
    text = text.replace('kind = "gaussian"', 'kind = "stale"\nfactor = -1.0').replace('"residual"', f'"{feedback}"')
    plan.write_text(text)
    assert mpirobust("run", str(plan), "--out", str(undisturbed)).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(folder), ranks=ranks[0]).returncode == 0
    with h5py.File(folder / "checkpoint-000000009.h5") as kept:
        assert {"rule/0/v", "attack/mean"} <= {
            f"{group}/{name}" for group in ("rule/0", "attack") for name in kept[group]
        }
    (folder / "checkpoint-000000012.h5").unlink()
    done = mpirobust("run", str(plan), "--out", str(folder), "--resume", ranks=ranks[1])
    assert done.returncode == 0, done.stderr
    assert "passed over" not in done.stderr
    assert_same(undisturbed, folder)
