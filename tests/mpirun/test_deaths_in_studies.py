"""A rank dies in a study: the run at hand goes on without it, the next with all workers on the ranks that are left."""

from __future__ import annotations

import signal
import tomllib
from pathlib import Path

import h5py
import pytest

from mpirobust.errors import Exit
from tests.support.alone import command_alone, run_alone
from tests.support.deaths import ULFM, program
from tests.support.instants import codes_on_leaving
from tests.support.launching import finish, mpirobust, start
from tests.support.small_studies import PLAN
from tests.support.traces import assert_same

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
    """A study of two runs."""
    folder = tmp_path / "family"
    folder.mkdir()
    (folder / "plan.toml").write_text(PLAN.replace("beta = 0.3", "beta = 0.45").replace("alpha = 0.2", "alpha = 0.1"))
    (folder / "figure-1.toml").write_text(_FAMILY)
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
    done = finish(start(*command(study, tmp_path, "in a run", 2), ranks=4, options=ULFM), timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rank 2 died in round 5; workers 3-5: absent from now on") == 1
    assert_as_undisturbed(study, tmp_path, disturbed=1)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("beta = 0.45", "beta = 0.2", "too many ranks or workers are lost: the same command goes on"),
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
    done = finish(start(*command(study, tmp_path, "in a run", 2), ranks=4, options=ULFM), timeout=90)
    assert done.returncode == 6, done.stderr
    assert done.stderr.splitlines().count(said) == 1
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_between_two_runs(study: Path, tmp_path: Path) -> None:
    done = finish(start(*command(study, tmp_path, "between runs", 2), ranks=4, options=ULFM), timeout=90)
    assert done.returncode == 6, done.stderr
    assert done.stderr.count("rank 2 died outside of a round") == 1
    assert len(traces(tmp_path / "runs")) == 1
    again = mpirobust("figures", str(study), *places(tmp_path), ranks=3)
    assert again.returncode == 0, again.stderr
    assert_as_undisturbed(study, tmp_path)


def test_what_some_have_not_heard_nobody_has(study: Path, tmp_path: Path) -> None:
    """Rank 1 passes on what the center says last, unless the library has another way: then all are done."""
    done = finish(start(*command(study, tmp_path, "at the end", 1), ranks=4, options=ULFM), timeout=90)
    said = [line for line in done.stderr.splitlines() if line.startswith("mpirobust:")]
    assert (done.returncode, said) in [(6, ["mpirobust: rank 1 died outside of a round"]), (0, [])]
    assert codes_on_leaving(tmp_path) == 3 * [str(done.returncode)]


def test_a_crew_that_loses_a_rank_between_two_runs_ends_and_the_other_goes_on(study: Path, tmp_path: Path) -> None:
    """Rank 4 is of the second crew; the first carries out all that is left."""
    sweep = ("sweep", str(study / "plan.toml"), "--over", "seed=1..4", "--ranks-per-run", "3", *places(tmp_path))
    command = (*program("doomed_study", tmp_path, "between runs", 4), *sweep)
    done = finish(start(*command, ranks=6, options=ULFM), timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("rank 4 died outside of a round") == 1
    assert traces(tmp_path / "runs").keys() == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("options", "code"), [(ULFM, Exit.LOST), ((), 128 + signal.SIGKILL)], ids=["survived", "not survived"]
)
def test_a_crew_that_loses_its_center_costs_no_run_that_is_finished(
    options: tuple[str, ...], code: int, study: Path, tmp_path: Path
) -> None:
    """Rank 3 is the center of the second of two crews, in seed 2; the first crew has finished seed 1 by then.

    Alone holds that no rank waits for the center of a crew that has died, and that the same command then carries out
    what is missing and nothing else. Ten seconds each, for a start of MPI.
    """
    sweep = ("sweep", str(study / "plan.toml"), "--over", "seed=1..4", *places(tmp_path))
    command = (*program("doomed_study", tmp_path, "as center", 3), *sweep, "--ranks-per-run", "3")
    done = finish(start(*command, ranks=6, options=options), timeout=90)
    assert done.returncode == code, done.stderr
    before = traces(tmp_path / "runs")
    assert before.keys() & {1, 2} == {1}
    if options:
        assert before.keys() == {1, 3, 4}
        assert "too many ranks or workers are lost: the same command goes on" in done.stderr
    written = {seed: (folder / "run.h5").stat().st_mtime_ns for seed, folder in before.items()}
    assert command_alone(*sweep) == Exit.OK
    after = traces(tmp_path / "runs")
    assert after.keys() == {1, 2, 3, 4}
    assert written == {seed: (after[seed] / "run.h5").stat().st_mtime_ns for seed in before}
    assert_same(run_alone(study / "plan.toml", tmp_path / "alone", "seed=2"), after[2])


def command(study: Path, folder: Path, instant: str, rank: int) -> tuple[str, ...]:
    return (*program("doomed_study", folder, instant, rank), "figures", str(study), *places(folder))


def places(folder: Path, which: str = "") -> list[str]:
    return ["--out", str(folder / f"{which}figures"), "--runs", str(folder / f"{which}runs")]


def assert_as_undisturbed(study: Path, folder: Path, disturbed: int = 0) -> None:
    """All runs but the disturbed one are those of a study that nothing happened to."""
    assert mpirobust("figures", str(study), *places(folder, "other-")).returncode == 0
    expected, found = traces(folder / "other-runs"), traces(folder / "runs")
    assert expected.keys() == found.keys() == {1, 2}
    for seed in expected.keys() - {disturbed}:
        assert_same(expected[seed], found[seed])
