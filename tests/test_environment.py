"""No command needs more of its environment than its work does: no home, no name, no locale, no folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mpirobust.reports.summary import summary
from tests.support.launching import REPOSITORY
from tests.support.rows import write_rows
from tests.support.small_studies import PLAN

_NAMELESS = ("unshare", "-U", "--map-user=54321", "--map-group=54321")  # a number without an entry in passwd

# Settings of the environment; None: without this variable.
_ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "no-home": {"HOME": None, "XDG_CACHE_HOME": None, "MPIROBUST_CACHE": None},
    "home-missing": {"HOME": "/no/such/folder", "MPIROBUST_CACHE": None},
    "home-read-only": {"HOME": "/proc", "MPIROBUST_CACHE": None},
    "no-folders": dict.fromkeys(["TMPDIR", "MPIROBUST_CACHE", "MPIROBUST_DATA", "XDG_CACHE_HOME"], "/dev/null"),
    "empty": dict.fromkeys(["HOME", "TMPDIR", "MPIROBUST_CACHE", "MPIROBUST_DATA", "LANG", "TERM", "USER"], ""),
    "locale-unknown": {"LC_ALL": "xx_XX", "LANG": "xx_XX.UTF-9", "PYTHONUTF8": None},
    "locale-ascii": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "optimised": {"PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error", "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "7"},
    "developing": {"PYTHONDEVMODE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
}


def _mpirobust(
    *arguments: str, folder: Path, changes: dict[str, str | None], enter: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **changes}
    return subprocess.run(
        [*enter, sys.executable, "-m", "mpirobust", *arguments],
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
    )


@pytest.mark.parametrize("name", _ENVIRONMENTS)
def test_a_run_needs_nothing_of_the_environment(name: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    done = _mpirobust("run", "plan.toml", "--out", "out", folder=tmp_path, changes=_ENVIRONMENTS[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert summary(tmp_path / "out")["status"] == "finished"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare")
def test_who_has_neither_name_nor_home_has_a_cache_beside_the_plan(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.svm")
    (tmp_path / "plan.toml").write_text(PLAN)
    changes = dict.fromkeys(["HOME", "XDG_CACHE_HOME", "MPIROBUST_CACHE"])
    sets = [f"--set=data.{each}" for each in ("kind=libsvm", "path=rows.svm", "features=30")]
    done = _mpirobust("check", "plan.toml", *sets, folder=tmp_path, changes=changes, enter=_NAMELESS)
    if "unshare failed" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / ".cache" / "mpirobust" / "stores").glob("rows.svm-*.h5"))


def test_a_folder_that_is_gone_is_missed_only_where_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    gone = ("bash", "-c", f'mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec "$@"', "bash")
    plan, out = str(tmp_path / "plan.toml"), str(tmp_path / "out")
    done = _mpirobust("run", plan, "--out", out, folder=tmp_path, changes={}, enter=gone)
    assert done.returncode == 0, done.stderr
    done = _mpirobust("run", plan, folder=tmp_path, changes={}, enter=gone)
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert "cannot write to runs/plan" in done.stderr
