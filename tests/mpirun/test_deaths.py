"""A rank that dies: the others go on without it, and what comes of it is to the bit what its absence makes of it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust.cluster.placement import assign_workers, reassign
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.comm.communicator import Survivors
from mpirobust.numerics.eigenvalues import power_iteration
from mpirobust.plan import load_plan
from mpirobust.records.layout import checkpoint_path
from mpirobust.testing.support.clusters import LocalRun
from tests.support.alone import run_alone
from tests.support.cases import in_turn
from tests.support.deaths import ROUNDS, ULFM, assert_as_replayed, doomed, plan_of, program
from tests.support.instants import codes_on_leaving
from tests.support.launching import finish, mpirobust, ranks_of, start, until
from tests.support.traces import assert_same

# Each with the round (from 0) that it strikes in, and the first that its workers are absent from.
_INSTANTS = {
    "before the broadcast": (14, 14),
    "while it computes": (14, 14),
    "between lengths and messages": (14, 14),
    "while the center aggregates": (14, 15),
    "in an audit": (19, 20),
    "while residuals are saved": (19, 20),
    "while the center writes": (9, 10),
    "before the dismissal": (29, 30),
    "at the dismissal": (29, 30),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan, run in one process: no death is in it, so the policy and the checkpoints do not matter."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return run_alone(plan_of(folder), folder / "whole")


def dying(
    instant: str, fatal: int, rank: int, plan: Path, out: Path, options: tuple[str, ...] = ULFM
) -> subprocess.CompletedProcess[str]:
    command = (*doomed(plan.parent, instant, fatal, rank), "run", str(plan), "--out", str(out))
    return finish(start(*command, ranks=4, options=options), timeout=120)


@pytest.mark.parametrize(("instant", "on_failure"), in_turn(_INSTANTS, ("drop", "adopt")))
def test_the_round_is_made_again_without_the_rank(instant: str, on_failure: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, on_failure), tmp_path / "out"
    fatal, absent_from = _INSTANTS[instant]
    rank = 3 if instant == "before the dismissal" else 2  # through rank 3 others would have heard it
    done = dying(instant, fatal, rank, plan, out)
    assert done.returncode == 0, done.stderr
    assert_as_replayed(plan, out, absent_from)
    if absent_from < ROUNDS:
        fate = "absent from now on" if on_failure == "drop" else "moved to other ranks, without what feedback had kept"
        assert re.search(rf"rank 2 died in round ({fatal + 1}|{fatal + 2}); workers 6-12: {fate}", done.stderr)


@pytest.mark.parametrize(("feedback", "on_failure"), in_turn(("none", "difference"), ("adopt", "drop")))
def test_with_every_feedback(feedback: str, on_failure: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, on_failure, feedback), tmp_path / "out"
    done = dying("while it computes", 14, 2, plan, out)
    assert done.returncode == 0, done.stderr
    assert_as_replayed(plan, out, 14)
    if feedback == "difference":
        byzantine = load_plan(plan, ())[0].byzantine()
        with h5py.File(checkpoint_path(out, ROUNDS)) as file:
            center, workers = file["memory/state"][:], file["memory/state_of_workers"][:]
            lost = file["lost"][:] if "lost" in file else np.zeros(0, int)
        gone = np.arange(6, 13)
        np.testing.assert_array_equal(lost, np.intersect1d(gone, byzantine) if on_failure == "drop" else [])
        kept = np.setdiff1d(gone, byzantine)
        np.testing.assert_array_equal(workers[kept], center[kept])
        assert center[kept].any(axis=1).all()


@pytest.mark.parametrize(("instant", "on_failure"), [("while it computes", "adopt"), ("in an audit", "drop")])
def test_with_a_coded_way_down(instant: str, on_failure: str, tmp_path: Path) -> None:
    """Ranks that have taken in the query of the discarded round do not take it in twice: the next crosses whole."""
    plan, out = plan_of(tmp_path, on_failure, more='[downlink]\nkind = "uniform"\n'), tmp_path / "out"
    fatal, absent_from = _INSTANTS[instant]
    done = dying(instant, fatal, 2, plan, out)
    assert done.returncode == 0, done.stderr
    assert_as_replayed(plan, out, absent_from)
    with h5py.File(out / "run.h5") as run:
        down = run["rounds/bytes_down"][:] / (~run["rounds/absent"][:]).sum(axis=1)
    assert np.flatnonzero(down == 32 + 8 * 50).tolist() == [absent_from]


@pytest.mark.parametrize("instant", ["while it computes", "during recovery"])
def test_two_at_once_and_one_in_the_recovery_from_the_other(instant: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, "adopt"), tmp_path / "out"
    command = (*doomed(tmp_path, instant, 14, 2, 3), "run", str(plan), "--out", str(out))
    done = finish(start(*command, ranks=4, options=ULFM), timeout=120)
    assert done.returncode == 0, done.stderr
    assert_as_replayed(plan, out, 14, gone=range(6, 20))


def test_no_rank_goes_on_before_all_have_left_the_shrink(tmp_path: Path) -> None:
    """One that goes on may meet the next failure and revoke a communicator that another has not made yet."""
    done = finish(start(*program("late_in_shrink", tmp_path), ranks=4, options=ULFM), timeout=60)
    assert done.returncode == 0, done.stderr
    left = np.array([(tmp_path / rank).read_text().split() for rank in "013"], float)
    assert left[:, 1].min() > left[1, 0]


def test_what_was_lost_is_zero_in_a_resumed_run_and_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = plan_of(tmp_path), tmp_path / "out"
    assert dying("while it computes", 14, 2, plan, out).returncode == 0
    run_alone(plan, out, f"algorithm.rounds={ROUNDS + 2}", resume=True)
    assert "note: workers 6-12: what feedback had kept was lost with a rank before round 31" in capsys.readouterr().err
    with h5py.File(out / "run.h5") as run:
        reset = run["rounds/reset"][:]
    assert np.argwhere(reset).tolist() == [[ROUNDS, worker] for worker in range(6, 13)]


def test_stop_ends_the_run_so_that_resume_gives_the_bits_of_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path
) -> None:
    """The policy `stop`, and a resume on several ranks after a death."""
    plan, out = plan_of(tmp_path, "stop"), tmp_path / "out"
    done = dying("while it computes", 14, 2, plan, out)
    assert done.returncode == 6
    assert 'rank 2 died in round 15 (on_failure = "stop"); another start goes on' in done.stderr
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=3).returncode == 0
    assert_same(undisturbed, out)


@pytest.mark.parametrize(("rank", "options"), [(0, ULFM), (0, ()), (2, ())], ids=["center", "0", "2"])
def test_a_death_that_is_not_survived_ends_the_job_soon(
    rank: int, options: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    """The death of the center under ULFM, and any death without."""
    plan, out = plan_of(tmp_path), tmp_path / "out"
    done = dying("while it computes", 14, rank, plan, out, options)
    assert done.returncode not in (0, 75)
    if options:
        assert done.returncode == 6
        assert done.stderr.count("rank 0, the center, died; another start goes on from the newest checkpoint") == 1
    run_alone(plan, out, resume=True)
    assert_same(undisturbed, out)


@pytest.mark.parametrize(
    ("feedback", "attack", "saved"),
    [("residual", "collude", 10), ("difference", "collude", 10), ("difference", "sign-flip", 14)],
)
def test_more_absent_than_the_rule_bears_ends_the_run_and_resume_gives_the_bits_of_an_undisturbed_one(
    feedback: str, attack: str, saved: int, tmp_path: Path
) -> None:
    """What 14 workers had kept is lost with their ranks: the checkpoint from before has it. The center has the states
    of differences, but for those of Byzantine workers if it received forged messages in place of theirs. What the ranks
    hold of a coded way down is that before the discarded round.
    """
    plan, out = plan_of(tmp_path, feedback=feedback, more='[downlink]\nkind = "uniform"\n'), tmp_path / "out"
    plan.write_text(plan.read_text().replace("collude", attack))
    # 14 of 20 workers. Those of rank 1 have answered in the round.
    command = (*doomed(tmp_path, "while it computes", 14, 2, 3), "run", str(plan), "--out", str(out))
    done = finish(start(*command, ranks=4, options=ULFM), timeout=120)
    assert done.returncode == 6, done.stderr
    assert "too many workers are lost: --resume continues with all of them" in done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "lost"
        assert run.attrs["rounds"] == 14
    assert max(out.glob("checkpoint-*.h5")).name == f"checkpoint-{saved:09d}.h5"
    run_alone(plan, out, resume=True)
    assert_same(run_alone(plan, tmp_path / "whole"), out)


@pytest.mark.parametrize(("fatal", "every"), [(-1, 10), (19, 10), (29, 100)])
def test_nobody_left_in_an_audit_is_not_divergence(fatal: int, every: int, tmp_path: Path) -> None:
    cadence = f"audit.every={every}"
    plan, out, whole = plan_of(tmp_path, feedback="none"), tmp_path / "out", tmp_path / "whole"
    command = (*doomed(tmp_path, "in an audit", fatal, 1), "run", str(plan), "--out", str(out), "--set", cadence)
    done = finish(start(*command, ranks=2, options=ULFM), timeout=60)
    assert done.returncode == 6, done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "lost"
        assert np.isfinite(run["audits/loss"][:]).all()
    assert_same(run_alone(plan, whole, cadence), run_alone(plan, out, cadence, resume=True))


def test_nobody_left_while_the_step_is_set_is_not_a_wrong_plan(tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path), tmp_path / "out"
    setting = "algorithm.schedule=inverse-smoothness"
    command = (*doomed(tmp_path, "in a Hessian product", -1, 1), "run", str(plan), f"--out={out}", "--set", setting)
    done = finish(start(*command, ranks=2, options=ULFM), timeout=60)
    assert done.returncode == 6, done.stderr
    assert "too many workers were lost before the first round; another start has all of them again" in done.stderr
    run_alone(plan, out, setting, resume=True)


def test_all_products_of_a_hessian_are_of_the_same_workers(tmp_path: Path) -> None:
    """A step size that is measured while a rank dies is that of the workers that are left, to the bit."""
    plan, out, dim = plan_of(tmp_path), tmp_path / "out", 50
    setting = "algorithm.schedule=inverse-smoothness"
    command = (*doomed(tmp_path, "amid Hessian products", -1, 2), "run", str(plan), f"--out={out}", "--set", setting)
    done = finish(start(*command, ranks=4, options=ULFM), timeout=60)
    assert done.returncode == 0, done.stderr
    assert "rank 2 died in round 1; workers 6-12: absent from now on\n" in done.stderr
    local = LocalRun(load_plan(plan, (setting,))[0])
    left = [worker for worker in local.workers if worker.index not in range(6, 13)]
    group = WorkerGroup(local.config, left, lambda _: ())
    expected = power_iteration(lambda v: group.hessian_products(local.x0, v).total() / len(left), dim, local.plan.seed)
    with h5py.File(out / "checkpoint-000000030.h5") as saved:
        assert saved["state/smoothness"][()] == expected


@pytest.mark.parametrize("on_failure", ["drop", "adopt"])
def test_a_worker_that_fails_is_absent_and_its_rank_lives_on(on_failure: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, on_failure), tmp_path / "out"
    done = failing(8, 8, plan, out, ULFM)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("worker 8 failed in round 15: RuntimeError: the disk is on fire") == 1
    assert "worker 8 failed in round 15; worker 8: absent from now on\n" in done.stderr
    assert "died" not in done.stderr
    plan_of(tmp_path, "drop")  # whatever the policy: one that fails here would fail elsewhere
    assert_as_replayed(plan, out, 14, gone=range(8, 9))


@pytest.mark.parametrize("options", [ULFM, ()], ids=["ulfm", "without ulfm"])
def test_a_worker_that_fails_ends_the_run_where_the_plan_says_stop(options: tuple[str, ...], tmp_path: Path) -> None:
    done = failing(8, 8, plan_of(tmp_path, "stop"), tmp_path / "out", options)
    assert done.returncode == 4
    assert done.stderr.count("worker 8 failed in round 15: RuntimeError: the disk is on fire") == 1
    assert done.stderr.count('worker 8 failed in round 15 (on_failure = "stop")') == len(options) // 2


def test_workers_that_fail_one_after_the_other_until_the_rule_bears_no_more(tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, "adopt"), tmp_path / "out"
    done = failing(8, 19, plan, out, ULFM)
    assert done.returncode == 6, done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "lost"
        assert run.attrs["rounds"] == 14


def failing(first: int, last: int, plan: Path, out: Path, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """From round 15 on the workers from `first` to `last` cannot answer, wherever they are hosted."""
    command = (*program("failing", 14, first, last), "run", str(plan), "--out", str(out))
    return finish(start(*command, ranks=4, options=options), timeout=60)


@pytest.mark.parametrize(
    ("why", "code", "says"),
    [("disk", 5, "No space left on device"), ("bug", 1, "RuntimeError: a bug"), ("interrupt", 130, "ended at once")],
)
def test_what_ends_the_center_ends_all_with_its_code(why: str, code: int, says: str, tmp_path: Path) -> None:
    command = (*program("ending", tmp_path, why), "run", str(plan_of(tmp_path)), f"--out={tmp_path / 'out'}")
    done = finish(start(*command, ranks=4, options=ULFM), timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stderr.count(says) == 1
    assert "died" not in done.stderr


def test_a_center_that_fails_after_the_dismissal_ends_all_with_its_code(tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path), tmp_path / "out"
    command = (*program("ending", tmp_path, "late"), "run", str(plan), "--out", str(out))
    done = finish(start(*command, ranks=4, options=ULFM), timeout=60)
    assert done.returncode == 1, done.stderr
    assert codes_on_leaving(tmp_path) == 4 * ["1"]
    assert done.stderr.count("RuntimeError: a bug") == 1
    assert "died" not in done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "finished"


def test_the_last_step_before_the_rounds_ends_alike_on_all_ranks(tmp_path: Path) -> None:
    """Rank 1 still waits in the reduction that the others have left, or wait in for rank 1, when rank 3 dies.

    Whether the reduction can still succeed for rank 1 is up to the library. Either it fails for all, who leave
    together and have done no round; or for nobody, and all make the first round without rank 3.
    """
    plan, out = plan_of(tmp_path), tmp_path / "out"
    command = (*program("late", tmp_path), "run", str(plan), "--out", str(out))
    process = start(*command, ranks=4, options=ULFM)
    until((tmp_path / "center").exists, 60, lambda: "")
    time.sleep(1.0)  # the center enters the reduction
    os.kill(ranks_of(process)[3], signal.SIGKILL)
    until(lambda: 3 not in ranks_of(process), 60, lambda: "")
    os.kill(int((tmp_path / "rank-1").read_text()), signal.SIGCONT)
    done = finish(process, timeout=60)
    assert codes_on_leaving(tmp_path) == 3 * [str(done.returncode)], done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    if done.returncode == 6:
        assert told == ["mpirobust: rank 3 died outside of a round"]
        assert not (out / "run.h5").exists()
    else:
        assert told == ["mpirobust: rank 3 died in round 1; workers 13-19: absent from now on"]
        assert done.returncode == 0
        assert_as_replayed(plan, out, 0, gone=range(13, 20))


@pytest.mark.system
@pytest.mark.parametrize("on_failure", ["drop", "adopt"])
def test_three_of_21_ranks_killed_at_random(on_failure: str, tmp_path: Path) -> None:
    """Deaths from outside, at instants that nobody chose, several in one run, as many ranks as workers."""
    plan = plan_of(tmp_path, on_failure, "none", rounds=600)
    plan.write_text(plan.read_text().replace('"collude"', '"negative"'))  # which this rule converges under
    out, honest = tmp_path / "out", tmp_path / "honest"
    run_alone(plan, honest)
    seed = random.randrange(2**32)
    print(f"random.Random({seed})")
    chance = random.Random(seed)
    killed = dict(zip(sorted(chance.sample(range(10, 450), 3)), chance.sample(range(1, 21), 3), strict=True))
    process = start("-m", "mpirobust", "run", str(plan), "--out", str(out), ranks=21, options=ULFM)
    reach(out, 1)
    segments = {
        Path(line.split()[5])
        for pid in ranks_of(process).values()
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if "/dev/shm/" in line
    }
    for round, rank in killed.items():
        reach(out, round)
        os.kill(ranks_of(process)[rank], signal.SIGKILL)
    done = finish(process, timeout=300)
    assert done.returncode == 0, done.stderr
    # Two that die in one round are told together, and one that had adopted takes more than its own worker along.
    told = re.findall(r"mpirobust: ranks? ([\d, -]+) died in round \d+; workers? ", done.stderr)
    assert sorted(number for numbers in told for number in unnamed(numbers)) == sorted(killed.values())
    with h5py.File(out / "run.h5") as run, h5py.File(honest / "run.h5") as undisturbed:
        assert run.attrs["status"] == "finished"
        lost = np.flatnonzero(run["rounds/absent"][-1]).tolist()
        assert lost == (sorted(rank - 1 for rank in killed.values()) if on_failure == "drop" else [])
        distance, expected = run["audits/distance"][:], undisturbed["audits/distance"][:]
        assert expected[-1] < 1e-3 * expected[0]
        if on_failure == "drop":
            assert distance[-1] < 1e-2 * distance[0]  # how fast depends on who is left
        else:  # no feedback, so nothing is lost
            np.testing.assert_array_equal(distance, expected)
    assert not [segment for segment in segments if segment.exists()]


def reach(out: Path, round: int) -> None:
    """Wait for a checkpoint of this round or a later one."""
    until(lambda: any(int(path.stem.split("-")[1]) >= round for path in out.glob("checkpoint-*.h5")), 120, lambda: "")


def unnamed(numbers: str) -> list[int]:
    """What was named `1-3, 7`."""
    spans = (span.split("-") for span in numbers.split(", "))
    return [number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)]


def test_rehoming() -> None:
    placement = assign_workers(7, 4)  # 0-1, 2-3, 4-6
    dead = Survivors(ranks=[0, 1, 3])
    assert reassign(placement, dead, adopt=False) == [[], [0, 1], [4, 5, 6]]
    assert reassign(placement, dead, adopt=True) == [[], [0, 1, 2, 3], [4, 5, 6]]
    assert reassign(placement, Survivors(ranks=[0]), adopt=True) == [[]]
    assert reassign(placement, Survivors(ranks=[0, 1, 2, 3], failed_worker=5), adopt=True) == [
        [],
        [0, 1],
        [2, 3],
        [4, 6],
    ]
    assert reassign(placement, Survivors(ranks=[0, 1, 3], failed_worker=2), adopt=True) == [[], [0, 1, 3], [4, 5, 6]]
