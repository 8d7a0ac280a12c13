"""A run ends in time, as late as it may, and goes on to the same bits."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from time import monotonic, time

import h5py
import numpy as np
import pytest

from mpirobust.comm.local import LocalCommunicator
from mpirobust.observers import deadline
from mpirobust.observers.base import Moment, RunContext, Status, Watch
from mpirobust.observers.deadline import Deadline, DeadlineWatch
from mpirobust.records.trace import Trace
from mpirobust.running import rounds
from mpirobust.running.experiment import run
from mpirobust.running.setup import RunRequest
from mpirobust.studies.campaign import carry_out, job
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.time_limit import MARGIN, end_of, origin_of, passed, shortage
from tests.support.launching import mpirobust
from tests.support.small_studies import lay_out
from tests.support.traces import assert_same

_EVERY = 7  # rounds from checkpoint to checkpoint, and from audit to audit


class Work(Watch):
    """What the rounds and the files of a run take, on a clock that only this moves."""

    def __init__(self, seed: int, spread: float) -> None:
        self.now = 100.0
        self.trace = Trace(6, np.zeros(0, np.intp), {})
        self._rng = np.random.default_rng(seed)
        self._spread = spread
        self.saved: float | None = None

    def before_first_round(self, moment: Moment) -> Status | None:
        self._take(moment, audit=3.0, writing=0.5)
        return None

    def after_round(self, moment: Moment) -> Status | None:
        self.now += 1.0 * self._rng.uniform(1, self._spread)
        due = moment.round % _EVERY == 0
        self._take(moment, **{"writing": 0.5, "audit": 3.0, "checkpoint": 4.0} if due else {})
        return None

    def after_last_round(self, moment: Moment, status: Status) -> None:
        self._take(moment, writing=0.5, checkpoint=4.0)
        self.saved = self.now

    def _take(self, moment: Moment, **phases: float) -> None:
        for phase, seconds in phases.items():
            took = seconds * self._rng.uniform(1, self._spread)
            if phase == "writing":
                self.trace.seconds_writing += took
            else:
                setattr(moment.times, phase, took)
            self.now += took


def ended(work: Work, limit: float, nbytes: float = 4 * deadline._BYTES_PER_SECOND) -> tuple[Status, float, int]:
    """Status, seconds until all was saved, and rounds done within `limit` seconds; a checkpoint is guessed at 4 s."""
    local = LocalRun(regression_plan(algorithm={"kind": "first-order", "rounds": 500, "step": 0.1}))
    plan, began = local.plan, work.now
    watch = DeadlineWatch(began + limit, work.trace, int(nbytes), lambda: work.now)
    done: list[int] = []

    class Count(Watch):
        def after_last_round(self, moment: Moment, status: Status) -> None:
            done.append(moment.round)

    state = plan.algorithm.start(local.x0, local.cluster)
    watches = [Count(), work, watch]
    status = rounds.loop(plan.algorithm, plan.aggregator, local.cluster, watches, state, 0, plan.seed)
    assert work.saved is not None
    return status, work.saved - began, done[0]


@pytest.mark.parametrize("limit", [30.0, 33.3, 60.0, 61.5, 100.0, 250.0])
@pytest.mark.parametrize("spread", [1.0, 1.2, 1.5])
def test_all_is_saved_in_time_and_not_much_earlier(limit: float, spread: float) -> None:
    for seed in range(20):
        status, took, rounds = ended(Work(seed, spread), limit)
        assert status is Status.INTERRUPTED
        assert took <= limit - MARGIN
        assert rounds > 0
        most = spread * (1.0 + 3.0 + 2 * 4.5)
        assert took >= limit - MARGIN - deadline._SLACK * most  # another round might not have fitted


def test_a_run_that_fits_is_left_alone() -> None:
    status, _, rounds = ended(Work(0, 1.5), 1e6)
    assert (status, rounds) == (Status.FINISHED, 500)


def test_no_round_begins_where_none_fits() -> None:
    status, took, rounds = ended(Work(0, 1.0), 10.0)
    assert (status, rounds) == (Status.INTERRUPTED, 0)
    assert took == pytest.approx(3.0 + 0.5 + 0.5 + 4.0)


def test_the_size_says_what_the_first_checkpoint_takes() -> None:
    _, _, with_small = ended(Work(0, 1.0), 20.0, nbytes=0)
    _, _, with_large = ended(Work(0, 1.0), 20.0, nbytes=2 * deadline._BYTES_PER_SECOND)
    assert 0 < with_large < with_small


def test_what_earlier_sessions_took_counts() -> None:
    local = LocalRun(regression_plan())
    trace = Trace(6, local.config.byzantine, {})
    row = trace.rounds.append()
    row["seconds_audit"], row["seconds_checkpoint"] = 5.0, 7.0
    moment = Moment(1, local.plan.algorithm.start(local.x0, local.cluster), local.cluster)
    need = 1.5 * (5.0 + 2 * 7.0) + MARGIN
    assert DeadlineWatch(need + 0.1, trace, 0, lambda: 0.0).before_first_round(moment) is None
    assert DeadlineWatch(need - 0.1, trace, 0, lambda: 0.0).before_first_round(moment) is Status.INTERRUPTED


def test_the_end_needs_the_trace_twice() -> None:
    """Once in the round that may come, and once after it."""
    local = LocalRun(regression_plan())
    moment = Moment(0, local.plan.algorithm.start(local.x0, local.cluster), local.cluster)
    for limit, status in [(20.1, None), (19.9, Status.INTERRUPTED)]:
        trace = Trace(6, local.config.byzantine, {})
        watch = DeadlineWatch(limit, trace, 0, lambda: 0.0)
        trace.seconds_writing += 6.0  # as `recorder` does before the first round
        assert watch.before_first_round(moment) is status


def test_without_an_end_there_is_nothing_to_watch(tmp_path: Path) -> None:
    assert Deadline().start(RunContext(Trace(6, np.zeros(0, np.intp), {}), tmp_path, "", 10)) is None


def test_an_audit_that_hung_in_an_earlier_session_does_not_keep_this_one_from_its_first_round() -> None:
    local = LocalRun(regression_plan())
    trace = Trace(6, local.config.byzantine, {})
    for seconds in (0.0, 5.0, 0.0, 3600.0):
        trace.rounds.append()["seconds_audit"] = seconds
    moment = Moment(4, local.plan.algorithm.start(local.x0, local.cluster), local.cluster)
    assert DeadlineWatch(60.0, trace, 0, lambda: 0.0).before_first_round(moment) is None


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("4h", 14400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("01:02:03", 3723),
        ("100:00:00", 360000),
    ],
)
def test_limits_as_they_are_written(limit: str, seconds: float) -> None:
    found = end_of(limit, {"SLURM_JOB_END_TIME": "1"})  # the option wins
    assert found == pytest.approx(monotonic() + seconds, abs=60)


@pytest.mark.parametrize("limit", ["", "4", "h", "-4h", "4 h", "1:2:3", "00:60:00", "10:00", "nan", "infh", "1e3s"])
def test_what_is_no_limit_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match="write 4h, 30m, 90s, HH:MM:SS or none"):
        end_of(limit)
    done = mpirobust("run", "plan.toml", "--time-limit", limit) if limit == "10:00" else None
    assert done is None or (done.returncode, done.stderr.count("is no time limit")) == (2, 1)


def test_slurm_says_when_the_job_ends() -> None:
    assert end_of(None, {}) is None
    assert end_of(None, {"SLURM_JOB_END_TIME": "Unknown"}) is None
    slurm = {"SLURM_JOB_END_TIME": str(int(time()) + 1000)}
    assert end_of(None, slurm) == pytest.approx(monotonic() + 1000, abs=60)
    assert end_of("none", slurm) is None


def test_nothing_begins_after_the_end() -> None:
    assert not passed(None)
    assert not passed(monotonic() + 3600)
    assert passed(monotonic() + MARGIN / 2)


OVER = "SLURM_JOB_END_TIME = 1000000000 (2001-09-09 01:46:40 UTC) is the end of a job that is over: unset the variable"


@pytest.mark.parametrize(
    ("limit", "end", "said"),
    [
        (None, "1000000000", OVER),
        ("1s", "1000000000", "no round fits into --time-limit 1s: "),  # the option wins
        ("0s", "", "no round fits into --time-limit 0s: 0.0 s are left, "),
    ],
)
@pytest.mark.parametrize("command", ["run", "resume", "study"])
def test_where_no_round_fits_the_limit_is_named(
    command: str, limit: str | None, end: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, environment = plan(tmp_path, 5), {"SLURM_JOB_END_TIME": end}
    ends, origin = end_of(limit, environment), origin_of(limit, environment)
    if command == "study":
        todo = [job(path, [], tmp_path / "runs")]
        assert carry_out(lambda: todo, LocalCommunicator(), ends, origin) == 75
        assert not todo[0].folder.exists()
    for _ in range({"run": 1, "resume": 2, "study": 0}[command]):
        capsys.readouterr()
        request = RunRequest(path, out=tmp_path / "run", resume=True, quiet=True, ends=ends, limit=origin)
        assert run(request, LocalCommunicator())[0] == 75
    text = capsys.readouterr().err
    assert text.count(said) == 1
    assert "give more time" in text or "--time-limit none" in text


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [None, 3])
def test_under_a_limit_that_is_over_nothing_begins(ranks: int | None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = mpirobust(
        "run", str(plan(tmp_path, 5)), "--out", str(out), ranks=ranks, env={"SLURM_JOB_END_TIME": "1000000000"}
    )
    assert (done.returncode, done.stderr.count(f"mpirobust: {OVER}")) == (75, 1), done.stderr
    assert not out.exists()


def test_a_job_that_is_not_over_is_not_said_to_be() -> None:
    origin = origin_of(None, {"SLURM_JOB_END_TIME": "1000000000"})
    assert "no round fits into SLURM_JOB_END_TIME = 1000000000 (2001" in shortage(1.0, 2.5, origin)
    assert "1.0 s are left, 2.5 s may be needed" in shortage(1.0, 2.5, origin)
    assert "over" not in shortage(1.0, 2.5, origin)


_PLAN = """
seed = 3
workers = 4
feedback = "residual"
data = { kind = "regression", rows = 40, features = 6 }
problem.kind = "least-squares"
algorithm = { kind = "first-order", rounds = ROUNDS, step = 0.05 }
compressor.kind = "l1-qsgd"
aggregator = { kind = "norm-trim", beta = 0.25 }
audit.every = 5
checkpoint.every = 8
"""


def plan(folder: Path, rounds: int) -> Path:
    path = folder / "plan.toml"
    path.write_text(_PLAN.replace("ROUNDS", str(rounds)))
    return path


def test_cut_again_and_again_it_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session has the time for a few rounds, each of a second on the clock."""
    path = plan(tmp_path, 40)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(RunRequest(path, out=whole, quiet=True), LocalCommunicator())[0] == 0
    sessions = 0
    code = 75
    while code == 75:
        monkeypatch.setattr(deadline, "monotonic", count(0.0).__next__)
        code, _ = run(RunRequest(path, out=cut, resume=True, quiet=True, ends=11.5), LocalCommunicator())
        sessions += 1
        assert sessions < 20
    assert code == 0
    assert sessions > 3
    assert_same(whole, cut)


@pytest.mark.parametrize("said", ["option", "slurm"])
def test_a_job_of_several_ranks_ends_by_itself(said: str, tmp_path: Path) -> None:
    """Far more rounds than fit; what it did in its time is what a run of so many rounds does."""
    path, rounds, seconds = plan(tmp_path, 10_000_000), 0, 6
    out = ["--out", str(tmp_path / "cut")]
    while rounds == 0 and seconds < 200:  # where the start takes as long
        option = ["--time-limit", f"{seconds}s"] if said == "option" else []
        env = {"SLURM_JOB_END_TIME": str(int(time()) + (1 if said == "option" else seconds))}
        done = mpirobust("run", str(path), *out, "--overwrite", *option, ranks=3, env=env)
        assert done.returncode == 75, done.stderr
        seconds *= 2
        if "ended by the time limit before the first round" in done.stderr:
            continue
        assert done.stderr.count("interrupted: --resume continues") == 1
        with h5py.File(tmp_path / "cut" / "run.h5") as trace:
            assert trace.attrs["status"] == "interrupted"
            rounds = int(trace.attrs["rounds"])
    assert rounds > 0
    assert (tmp_path / "cut" / f"checkpoint-{rounds:09d}.h5").exists()
    more = ["--set", f"algorithm.rounds={rounds + 10}"]
    assert mpirobust("run", str(path), *out, *more, "--resume", "--time-limit", "none", env=env).returncode == 0
    assert mpirobust("run", str(path), "--out", str(tmp_path / "whole"), *more).returncode == 0
    assert_same(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("command", ["figures", "matrix"])
def test_a_study_begins_no_run_that_has_no_time(command: str, tmp_path: Path) -> None:
    study = lay_out(tmp_path / "study")
    what = study if command == "figures" else study / "grid.toml"
    runs = tmp_path / "runs"
    arguments = [command, str(what), "--out", str(tmp_path / "out"), "--runs", str(runs), "--time-limit", "1s"]
    done = mpirobust(*arguments, ranks=3 if command == "matrix" else None)
    assert done.returncode == 75, done.stderr
    assert done.stderr.count("interrupted: the same command goes on") == 1
    assert not runs.exists()
