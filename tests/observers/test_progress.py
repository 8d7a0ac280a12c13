"""What a run prints while it goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mpirobust.observers.audit import Audits
from mpirobust.observers.progress import Progress
from mpirobust.observers.recorder import Record
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.contexts import context
from mpirobust.testing.support.witness import first_order, ran


def printed(folder: Path, capsys: pytest.CaptureFixture[str], every_seconds: float, **how: Any) -> list[str]:
    local = LocalRun(regression_plan(algorithm=first_order(rounds=4)))
    run = context(local, folder, **how)
    watches = [each.start(run) for each in (Audits(), Record(), Progress(every_seconds=every_seconds))]
    ran(local, *[watch for watch in watches if watch is not None])
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()


def test_a_line_for_every_round_where_no_time_has_to_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(tmp_path, capsys, 0.0)
    assert [line.split("  ")[0] for line in lines] == [f"round {t}/4" for t in (1, 2, 3, 4)]
    assert all("|w-w*| " in line and "  kept 6/6  " in line for line in lines)


def test_no_line_before_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(tmp_path, capsys, 3600.0) == []


def test_a_bar_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    last = printed(tmp_path, capsys, 0.0)[-1]
    assert len(last) < 80
    assert last.startswith("100% |█████| 4/4 ")
    for figure in ("loss ", "kept 6/6", "|grad| ", "|w-w*| "):
        assert figure in last


def test_a_run_that_is_one_of_many_shows_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(tmp_path, capsys, 0.0, quiet=True, label="[3/9] ")
    assert [line.split("  ")[0] for line in lines] == [f"[3/9] round {t}/4" for t in (1, 2, 3, 4)]


def test_a_quiet_run_shows_nothing(tmp_path: Path) -> None:
    assert Progress().start(context(LocalRun(regression_plan()), tmp_path, quiet=True)) is None
