"""A rank that dies: the others go on without it, and what comes of it is to the bit what its absence makes of it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust.cluster.placement import assign_workers, reassign
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.cluster.worker import Worker
from mpirobust.cluster.worker_group import WorkerGroup, summarise
from mpirobust.comm.communicator import Survivors
from mpirobust.plan import load_plan
from mpirobust.streams import CENTER, Purpose, stream
from tests.mpirun.test_rank_count import SAME
from tests.support.clusters import LocalRun
from tests.support.launching import finish, mpirobust, ranks_of, start, until

ULFM = ("--with-ft", "ulfm")
_DOOMED = Path(__file__).with_name("doomed.py")

# Center and three ranks with 6, 7 and 7 workers; the rule bears 9 of 20, two of them Byzantine.
_PLAN = """
seed = 3
workers = 20
feedback = "{feedback}"
on_failure = "{on_failure}"
[data]
kind = "regression"
rows = 400
features = 50
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = {rounds}
step = 0.05
batch = 10
[compressor]
kind = "qsgd"
levels = 4
[aggregator]
kind = "norm-trim"
beta = 0.45
[attack]
kind = "collude"
alpha = 0.1
[audit]
every = 10
[checkpoint]
every = 10
"""

_FAILING = """
from mpirobust.cli import main
from mpirobust.cluster.worker import Worker
answer = Worker._answer
def failing(self, round, query):
    if round >= 14 and WHOM:
        raise RuntimeError("out of luck")
    return answer(self, round, query)
Worker._answer = failing
main()
"""
_ENDING = """
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.cli import main
judge, calls = NormTrim.judge, []
def ending(self, inbox):
    calls.append(inbox)
    if len(calls) == 15:
        raise ERROR
    return judge(self, inbox)
NormTrim.judge = ending
main()
"""
_ENDING_LAST = """
import os
from mpirobust.cli import main
from mpirobust.reports import summary
def ending(folder):
    raise RuntimeError("a bug")
def leaving(code, leave=os._exit):
    print("leaves with", code, flush=True)
    leave(code)
summary.summary = ending
os._exit = leaving
main()
"""
# Rank 1 is stopped in its last reduction before the rounds, which the center comes to three seconds late.
_LATE = """
import os, pathlib, signal, sys, time
from threading import Timer
from mpirobust.run import root
from mpirobust.cli import main
from mpirobust.comm.mpi import MpiCommunicator
note, rank = pathlib.Path(sys.argv.pop(1), "stopped"), os.environ["OMPI_COMM_WORLD_RANK"]
restore, lowest, calls = lead.restore, MpiCommunicator.lowest, []
def slowly(*arguments):
    time.sleep(3.0)
    return restore(*arguments)
def stop():
    note.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
def stopping(self, value):
    calls.append(value)
    if len(calls) == 4:
        Timer(1.0, stop).start()
    return lowest(self, value)
if rank == "0":
    lead.restore = slowly
if rank == "1":
    MpiCommunicator.lowest = stopping
main()
"""

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
_ROUNDS = 30


def plan_of(folder: Path, on_failure: str = "drop", feedback: str = "residual", rounds: int = _ROUNDS) -> Path:
    path = folder / "plan.toml"
    path.write_text(_PLAN.format(on_failure=on_failure, feedback=feedback, rounds=rounds))
    return path


def doomed(instant: str, fatal: int, *ranks: int) -> tuple[str, ...]:
    """What runs `mpirobust` with the arguments behind it, and in it these ranks to their death in round `fatal`."""
    return str(_DOOMED), instant, str(fatal), ",".join(map(str, ranks))


def dying(
    instant: str, fatal: int, rank: int, plan: Path, out: Path, options: tuple[str, ...] = ULFM
) -> subprocess.CompletedProcess[str]:
    command = (*doomed(instant, fatal, rank), "run", str(plan), "--out", str(out))
    return finish(start(*command, ranks=4, options=options), timeout=120)


@pytest.mark.parametrize("instant", _INSTANTS)
@pytest.mark.parametrize("on_failure", ["drop", "adopt"])
def test_the_round_is_made_again_without_the_rank(instant: str, on_failure: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, on_failure), tmp_path / "out"
    fatal, absent_from = _INSTANTS[instant]
    rank = 3 if instant == "before the dismissal" else 2  # through rank 3 others would have heard it
    done = dying(instant, fatal, rank, plan, out)
    assert done.returncode == 0, done.stderr
    assert_as_replayed(plan, out, absent_from)
    if absent_from < _ROUNDS:
        fate = "absent from now on" if on_failure == "drop" else "moved to other ranks, without what feedback had kept"
        assert re.search(rf"rank 2 died in round ({fatal + 1}|{fatal + 2}); workers 6-12: {fate}", done.stderr)


@pytest.mark.parametrize("feedback", ["none", "difference"])
@pytest.mark.parametrize("on_failure", ["drop", "adopt"])
def test_with_every_feedback(feedback: str, on_failure: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, on_failure, feedback), tmp_path / "out"
    done = dying("while it computes", 14, 2, plan, out)
    assert done.returncode == 0, done.stderr
    assert_as_replayed(plan, out, 14)


def assert_as_replayed(
    path: Path, out: Path, absent_from: int, gone: range = range(6, 13), overrides: Sequence[str] = ()
) -> None:
    """The trace of `out` is what one process makes of the plan when the workers `gone` are lost from that round on."""
    plan, _ = load_plan(path, overrides)
    local = LocalRun(plan)
    adopt = plan.on_failure == "adopt"
    receiver = RoundReceiver(local.config, plan.workers)
    workers = list(local.workers)
    algorithm, rule = plan.algorithm, plan.aggregator
    state = algorithm.start(local.x0, local.cluster)
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "finished"
        assert run["rounds/round"].shape == (_ROUNDS,)
        for t in range(_ROUNDS):
            if t == absent_from:
                receiver.lose(*((), gone) if adopt else (gone, ()))
                for index in gone:
                    workers[index] = Worker(index, local.config, workers[index].clean, workers[index].test)
            query = algorithm.query(state)
            sent = [worker.reply(t, query)[0] if receiver.present[worker.index] else b"" for worker in workers]
            exchange = receiver.exchange(t, query, list(sent), {})
            verdict = rule.judge(exchange.inbox)
            state = algorithm.advance(state, verdict, stream(plan.seed, CENTER, t, Purpose.ADVANCE))
            np.testing.assert_array_equal(run["rounds/norms"][t], exchange.inbox.norms, err_msg=f"round {t}")
            np.testing.assert_array_equal(run["rounds/kept"][t], verdict.kept)
            np.testing.assert_array_equal(run["rounds/absent"][t], ~receiver.present)
            assert run["rounds/bytes_up"][t] == exchange.bytes_up
            assert run["rounds/bytes_down"][t] == exchange.bytes_down
        np.testing.assert_array_equal(run["model/x"][:], state.x)
        if plan.feedback == "difference":  # both ends have the same states, also of workers that moved
            honest = np.setdiff1d(np.flatnonzero(receiver.present), local.config.byzantine).tolist()
            for index in honest:
                kept = workers[index].residual
                assert kept is not None
                np.testing.assert_array_equal(receiver.states[index], kept)
        if absent_from < _ROUNDS:
            present = WorkerGroup(
                local.config, [worker for worker in workers if receiver.present[worker.index]], lambda _: ()
            )
            audit = summarise(present.scores(state.x), present.gradients(state.x), len(present.workers))
            assert run["audits/gradient_norm"][-1] == audit.gradient_norm
            assert run["audits/loss"][-1] == pytest.approx(audit.loss, rel=1e-12)


def test_stop_ends_the_run_so_that_resume_gives_the_bits_of_an_undisturbed_one(tmp_path: Path) -> None:
    plan, out, whole = plan_of(tmp_path, "stop"), tmp_path / "out", tmp_path / "whole"
    done = dying("while it computes", 14, 2, plan, out)
    assert done.returncode == 6
    assert 'rank 2 died in round 15 (on_failure = "stop"); another start goes on' in done.stderr
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=3).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(whole)).returncode == 0
    assert_same(whole, out)


@pytest.mark.parametrize("options", [ULFM, ()], ids=["ulfm", "without ulfm"])
@pytest.mark.parametrize("rank", [0, 2])
def test_a_death_that_is_not_survived_ends_the_job_soon(rank: int, options: tuple[str, ...], tmp_path: Path) -> None:
    if rank and options:
        pytest.skip("that one is survived")
    plan, out, whole = plan_of(tmp_path), tmp_path / "out", tmp_path / "whole"
    done = dying("while it computes", 14, rank, plan, out, options)
    assert done.returncode not in (0, 75)
    if options:
        assert done.returncode == 6
        assert done.stderr.count("rank 0, the center, died; another start goes on from the newest checkpoint") == 1
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=3).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(whole)).returncode == 0
    assert_same(whole, out)


@pytest.mark.parametrize("feedback", ["residual", "difference"])
def test_more_absent_than_the_rule_bears_ends_the_run_with_a_checkpoint(feedback: str, tmp_path: Path) -> None:
    plan, out, whole = plan_of(tmp_path, feedback=feedback), tmp_path / "out", tmp_path / "whole"
    # 14 of 20 workers. Those of rank 1 have answered in the round.
    command = (*doomed("while it computes", 14, 2, 3), "run", str(plan), "--out", str(out))
    done = finish(start(*command, ranks=4, options=ULFM), timeout=120)
    assert done.returncode == 6, done.stderr
    assert "too many workers are lost: --resume continues with all of them" in done.stderr
    assert mpirobust("run", str(plan), "--out", str(whole), "--set", "algorithm.rounds=14").returncode == 0
    name = "checkpoint-000000014.h5"
    with h5py.File(out / name) as saved, h5py.File(whole / name) as expected:
        np.testing.assert_array_equal(saved["state/x"][:], expected["state/x"][:])
        np.testing.assert_array_equal(saved["residuals"][:6], expected["residuals"][:6])
        assert not saved["residuals"][6:].any()
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "lost"
        assert run.attrs["rounds"] == 14
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=3).returncode == 0
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "finished"
        assert not run["rounds/absent"][:].any()


@pytest.mark.parametrize(("fatal", "every"), [(-1, 10), (19, 10), (29, 100)])
def test_nobody_left_in_an_audit_is_not_divergence(fatal: int, every: int, tmp_path: Path) -> None:
    cadence = ("--set", f"audit.every={every}")
    plan, out, whole = plan_of(tmp_path, feedback="none"), tmp_path / "out", tmp_path / "whole"
    command = (*doomed("in an audit", fatal, 1), "run", str(plan), "--out", str(out), *cadence)
    done = finish(start(*command, ranks=2, options=ULFM), timeout=60)
    assert done.returncode == 6, done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "lost"
        assert np.isfinite(run["audits/loss"][:]).all()
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", *cadence, ranks=3).returncode == 0
    assert mpirobust("run", str(plan), "--out", str(whole), *cadence).returncode == 0
    assert_same(whole, out)


def test_nobody_left_while_the_step_is_set_is_not_a_wrong_plan(tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path), tmp_path / "out"
    sets = ("--set", "algorithm.schedule=inverse-smoothness")
    command = (*doomed("in a Hessian product", -1, 1), "run", str(plan), "--out", str(out), *sets)
    done = finish(start(*command, ranks=2, options=ULFM), timeout=60)
    assert done.returncode == 6, done.stderr
    assert "too many workers were lost before the first round; another start has all of them again" in done.stderr
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", *sets, ranks=3).returncode == 0


@pytest.mark.parametrize("on_failure", ["drop", "adopt"])
def test_a_worker_that_fails_is_absent_and_its_rank_lives_on(on_failure: str, tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, on_failure), tmp_path / "out"
    done = failing("self.index == 8", plan, out, ULFM)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("worker 8 failed in round 15: RuntimeError: out of luck") == 1
    assert "worker 8 failed in round 15; worker 8: absent from now on\n" in done.stderr
    assert "died" not in done.stderr
    plan_of(tmp_path, "drop")  # whatever the policy: one that fails here would fail elsewhere
    assert_as_replayed(plan, out, 14, gone=range(8, 9))


@pytest.mark.parametrize("options", [ULFM, ()], ids=["ulfm", "without ulfm"])
def test_a_worker_that_fails_ends_the_run_where_the_plan_says_stop(options: tuple[str, ...], tmp_path: Path) -> None:
    done = failing("self.index == 8", plan_of(tmp_path, "stop"), tmp_path / "out", options)
    assert done.returncode == 4
    assert done.stderr.count("worker 8 failed in round 15: RuntimeError: out of luck") == 1
    assert done.stderr.count('worker 8 failed in round 15 (on_failure = "stop")') == len(options) // 2


def test_workers_that_fail_one_after_the_other_until_the_rule_bears_no_more(tmp_path: Path) -> None:
    plan, out = plan_of(tmp_path, "adopt"), tmp_path / "out"
    done = failing("self.index >= 8", plan, out, ULFM)
    assert done.returncode == 6, done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "lost"
        assert run.attrs["rounds"] == 14


def failing(whom: str, plan: Path, out: Path, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """From round 15 on the workers of whom this holds cannot answer, wherever they live."""
    script = plan.parent / "failing.py"
    script.write_text(_FAILING.replace("WHOM", whom))
    return finish(start(str(script), "run", str(plan), "--out", str(out), ranks=4, options=options), timeout=60)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        ("OSError(28, 'No space left on device')", 5, "No space left on device"),
        ("RuntimeError('a bug')", 1, "RuntimeError: a bug"),
        ("KeyboardInterrupt()", 130, "ended at once"),
    ],
)
def test_what_ends_the_center_ends_all_with_its_code(error: str, code: int, says: str, tmp_path: Path) -> None:
    plan, script = plan_of(tmp_path), tmp_path / "ending.py"
    script.write_text(_ENDING.replace("ERROR", error))
    done = finish(start(str(script), "run", str(plan), f"--out={tmp_path / 'out'}", ranks=4, options=ULFM), timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stderr.count(says) == 1
    assert "died" not in done.stderr


def test_a_center_that_fails_after_the_dismissal_ends_all_with_its_code(tmp_path: Path) -> None:
    plan, out, script = plan_of(tmp_path), tmp_path / "out", tmp_path / "ending.py"
    script.write_text(_ENDING_LAST)
    done = finish(start(str(script), "run", str(plan), "--out", str(out), ranks=4, options=ULFM), timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("leaves with 1\n") == 4
    assert done.stderr.count("RuntimeError: a bug") == 1
    assert "died" not in done.stderr
    with h5py.File(out / "run.h5") as run:
        assert run.attrs["status"] == "finished"


def test_the_last_step_before_the_rounds_ends_alike_on_all_ranks(tmp_path: Path) -> None:
    """Rank 1 still waits in the reduction that the others have left, when rank 3 dies: in a round, for all of them."""
    plan, out, script = plan_of(tmp_path), tmp_path / "out", tmp_path / "late.py"
    script.write_text(_LATE)
    process = start(str(script), str(tmp_path), "run", str(plan), "--out", str(out), ranks=4, options=ULFM)
    until((tmp_path / "stopped").exists, 60, lambda: "")
    time.sleep(4.0)  # the others have left the reduction, or wait for rank 1 to
    os.kill(ranks_of(process)[3], signal.SIGKILL)
    time.sleep(1.0)
    os.kill(int((tmp_path / "stopped").read_text()), signal.SIGCONT)
    done = finish(process, timeout=60)
    assert done.returncode in (0, 6), done.stderr
    assert "rank 3 died" in done.stderr


@pytest.mark.system
@pytest.mark.parametrize("on_failure", ["drop", "adopt"])
def test_three_of_21_ranks_killed_at_random(on_failure: str, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, on_failure, "none", rounds=600)
    plan.write_text(plan.read_text().replace('"collude"', '"negative"'))  # which this rule converges under
    out, honest = tmp_path / "out", tmp_path / "honest"
    assert mpirobust("run", str(plan), "--out", str(honest)).returncode == 0
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
    # Two that die in one round are told all_or_fail, and one that had adopted takes more than its own worker along.
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


def assert_same(one: Path, other: Path) -> None:
    with h5py.File(one / "run.h5") as expected, h5py.File(other / "run.h5") as found:
        for column in SAME:
            np.testing.assert_array_equal(found[column][:], expected[column][:], err_msg=column)


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
