"""What the launcher needs of the environment, and streams that break under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpirobust.reports.summary import summary
from tests.support.launching import finish, start
from tests.support.small_studies import PLAN

_RUN = ("-m", "mpirobust", "run")
_TALKATIVE = ("--set", "observers.progress.every_seconds=0", "--set", "algorithm.rounds=8")
_NOTHING = ("-c", "pass")
_AS_IT_IS = ("bash", "-c", 'shift; exec mpirun --allow-run-as-root "$@"', "bash")  # without jobs/mpirun-local


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "plan.toml"


def test_mpirun_needs_a_home() -> None:
    done = finish(start(*_NOTHING, ranks=1, enter=("env", "-u", "HOME", *_AS_IT_IS)), timeout=60)
    assert done.returncode != 0
    assert "It looks like opal_init failed for some reason" in done.stderr + done.stdout


def test_mpirun_local_needs_none(plan: Path) -> None:
    done = finish(start(*_RUN, str(plan), "--out", str(plan.parent / "out"), ranks=3, enter=("env", "-u", "HOME")), 60)
    assert done.returncode == 0, done.stderr


def test_mpirun_needs_a_folder_for_its_session() -> None:
    done = finish(start(*_NOTHING, ranks=1, env={"TMPDIR": "/proc"}), timeout=60)
    assert done.returncode != 0
    assert "unable to create the desired directory" in done.stderr + done.stdout


_LEFT = 'mkdir "$TMPDIR/ompi.$$"; : >"$TMPDIR/ompi.$$/pmix.$(hostname).tool.$$"; '  # by an mpirun of this pid


def test_mpirun_does_not_start_where_one_of_its_pid_was_killed(tmp_path: Path) -> None:
    as_it_is = ("bash", "-c", f'{_LEFT}shift; exec mpirun --allow-run-as-root "$@"', "bash")
    done = finish(start(*_NOTHING, ranks=1, env={"TMPDIR": str(tmp_path)}, enter=as_it_is), timeout=60)
    assert done.returncode != 0
    assert "The PMIx server's listener thread failed to start" in done.stderr + done.stdout


def test_mpirun_local_starts_where_one_of_its_pid_was_killed(tmp_path: Path) -> None:
    left = ("bash", "-c", f'{_LEFT}exec "$@"', "bash")
    done = finish(start(*_NOTHING, ranks=1, env={"TMPDIR": str(tmp_path)}, enter=left), timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("redirected", ["2>&1 >/dev/null | head -c 5", ">/dev/full", "2>/dev/full", "| true"])
def test_a_run_of_three_ranks_ends_with_its_code_whatever_its_streams_are(redirected: str, plan: Path) -> None:
    """Eight lines: mpirun itself ends the job after some more that it cannot write."""
    out = plan.parent / "out"
    shell = ("bash", "-c", f'"$@" {redirected}; exit ${{PIPESTATUS[0]}}', "bash")
    done = finish(start(*_RUN, str(plan), "--out", str(out), *_TALKATIVE, ranks=3, enter=shell), timeout=60)
    assert done.returncode == 0, done.stderr
    assert summary(out)["status"] == "finished"
