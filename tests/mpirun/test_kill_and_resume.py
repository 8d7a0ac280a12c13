"""SIGKILL at any instant, then --resume on another number of ranks: the bits of the undisturbed run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.alone import run_alone
from tests.support.launching import finish, kill_group, mpirobust, start, until
from tests.support.traces import assert_same

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
_ENDLESS = 10**6


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(_PLAN.format(rounds=_ENDLESS))
    return path


@pytest.mark.parametrize("kills", [4, pytest.param(12, marks=pytest.mark.system)])
def test_killed_again_and_again(kills: int, plan: Path, tmp_path: Path) -> None:
    """The one test that kills all ranks at random instants, of the start as well, and goes on with other ones."""
    seed = random.randrange(2**32)
    print(f"random.Random({seed})")
    chance = random.Random(seed)
    folder = tmp_path / "killed"
    for kill in range(kills):
        process = start(*_command(plan, folder), ranks=[3, None, 2, 5][kill % 4])
        time.sleep(chance.uniform(0.0, 3.0))
        assert process.poll() is None
        kill_group(process)
        process.communicate()
        assert_whole(folder / "run.h5")
    process = start(*_command(plan, folder), ranks=4)
    until(lambda: saved(folder) > 0, 60, lambda: "nothing is saved")
    kill_group(process)
    process.communicate()
    more = f"algorithm.rounds={saved(folder) + 40}"
    done = mpirobust("run", str(plan), "--out", str(folder), "--resume", "--set", more, ranks=3)
    assert done.returncode == 0, done.stderr
    assert_same(run_alone(plan, tmp_path / "undisturbed", more), folder)
    assert not list(folder.glob(".*")), "leftovers of killed writes"


def _command(plan: Path, folder: Path) -> tuple[str, ...]:
    return ("-m", "mpirobust", "run", str(plan), "--out", str(folder), "--resume")


def saved(folder: Path) -> int:
    """Return the round of the newest checkpoint; 0 without one."""
    return max((int(path.stem.split("-")[1]) for path in folder.glob("checkpoint-*.h5")), default=0)


def assert_whole(path: Path) -> None:
    if path.exists():
        with h5py.File(path) as trace:
            assert trace["rounds/round"].size == trace.attrs["rounds"]


@pytest.mark.parametrize(("ranks", "feedback"), [(None, "residual"), (3, "difference")])
def test_signal_checkpoints_and_exits_75(ranks: int | None, feedback: str, plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text().replace('feedback = "residual"', f'feedback = "{feedback}"'))
    folder = tmp_path / "signalled"
    process = start(*_command(plan, folder), ranks=ranks)
    until(lambda: saved(folder) > 30, 60, lambda: "there are no two checkpoints")
    process.send_signal(signal.SIGUSR1)
    stopped = finish(process, timeout=60)
    assert stopped.returncode == 75, stopped.stderr
    with h5py.File(folder / "run.h5") as trace:
        assert trace.attrs["status"] == "interrupted"
        rounds = int(trace.attrs["rounds"])
    assert 0 < rounds < _ENDLESS
    assert (folder / f"checkpoint-{rounds:09d}.h5").exists()
    assert len(list(folder.glob("checkpoint-*.h5"))) == 2
    more = f"algorithm.rounds={rounds + 40}"
    done = finish(start(*_command(plan, folder), "--set", more, ranks=2), timeout=120)
    assert done.returncode == 0, done.stderr
    assert_same(run_alone(plan, tmp_path / "undisturbed", more), folder)


@pytest.mark.unit
def test_resume_of_a_finished_run_changes_nothing_and_more_rounds_go_on(plan: Path, tmp_path: Path) -> None:
    folder, longer = tmp_path / "folder", tmp_path / "longer"
    plan.write_text(_PLAN.format(rounds=50))
    run_alone(plan, folder)
    with h5py.File(folder / "run.h5") as trace:
        before = trace["model/x"][:]
    run_alone(plan, folder, resume=True)
    with h5py.File(folder / "run.h5") as trace:
        np.testing.assert_array_equal(trace["model/x"][:], before)
        assert trace["rounds/round"].size == 50
    more = "algorithm.rounds=80"
    assert_same(run_alone(plan, longer, more), run_alone(plan, folder, more, resume=True))


def test_damaged_checkpoints_are_passed_over_and_do_not_outlive_new_ones(plan: Path, tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "damaged"
    plan.write_text(_PLAN.format(rounds=100))
    for out in (undisturbed, folder):
        run_alone(plan, out)
    newest = folder / "checkpoint-000000100.h5"
    newest.write_bytes(newest.read_bytes()[:-100])
    more = ("--resume", "--set", "algorithm.rounds=130")
    done = mpirobust("run", str(plan), "--out", str(folder), *more)
    assert done.returncode == 0, done.stderr
    assert "passed over" in done.stderr
    run_alone(plan, undisturbed, more[-1], resume=True)
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
    run_alone(plan, folder)
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
        run_alone(plan, out)
    (folder / "checkpoint-000000012.h5").unlink()
    done = mpirobust("run", str(plan), "--out", str(folder), "--resume", ranks=3)
    assert done.returncode == 0, done.stderr
    assert "passed over" not in done.stderr
    assert_same(undisturbed, folder)


@pytest.mark.parametrize(("feedback", "ranks"), [("difference", (5, 3)), ("residual", (3, None)), ("none", (None, 4))])
def test_what_is_remembered_goes_on_on_other_ranks(
    feedback: str, ranks: tuple[int | None, int | None], plan: Path, tmp_path: Path
) -> None:
    """Of rule, attacker, feedback and way down: from round 9, when the checkpoint of round 12 is lost."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "resumed"
    rule = 'kind = "nnm"\nbeta = 0.2\nrule = { kind = "centered-clipping", radius = 0.5, start = "previous" }'
    text = _PLAN.format(rounds=12).replace('kind = "norm-trim"\nbeta = 0.2', rule).replace("every = 30", "every = 3")
    text = text.replace('kind = "gaussian"', 'kind = "stale"\nfactor = -1.0').replace('"residual"', f'"{feedback}"')
    plan.write_text(text + '[downlink]\nkind = "randomk"\nk = 60\n')
    assert mpirobust("run", str(plan), "--out", str(undisturbed)).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(folder), ranks=ranks[0]).returncode == 0
    with h5py.File(folder / "checkpoint-000000009.h5") as kept:
        assert {"rule/0/v", "attack/mean"} <= {
            f"{group}/{name}" for group in ("rule/0", "attack") for name in kept[group]
        }
    (folder / "checkpoint-000000012.h5").unlink()
    again = (
        ("resume", str(folder)) if feedback == "difference" else ("run", str(plan), "--out", str(folder), "--resume")
    )
    done = mpirobust(*again, ranks=ranks[1])
    assert done.returncode == 0, done.stderr
    assert "passed over" not in done.stderr
    assert_same(undisturbed, folder)
