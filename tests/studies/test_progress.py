"""The progress of a study, on a terminal and elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from mpirobust.studies import progress
from mpirobust.studies.progress import StudyMeter

Lines = Callable[[], list[str]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose time is the last item."""
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[-1])
    return now


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return lambda: capsys.readouterr().err.splitlines()


def test_a_line_has_the_name_the_last_seconds_and_the_time_left(clock: list[float], lines: Lines) -> None:
    with StudyMeter(4) as meter:
        for at, seconds in enumerate((0.0, 10.0, 30.0, 2.0), start=1):
            clock.append(clock[-1] + seconds)
            meter.begin(at, f"family, curve: seed={at}")
        meter.end()
    assert lines() == [
        "[1/4] family, curve: seed=1",
        "[2/4] family, curve: seed=2 (the last took 10.0 s, 00:30 left)",
        "[3/4] family, curve: seed=3 (the last took 30.0 s, 00:40 left)",
        "[4/4] family, curve: seed=4 (the last took 2.0 s, 00:14 left)",
    ]


def test_a_line_now_and_then_and_always_the_last(clock: list[float], lines: Lines) -> None:
    with StudyMeter(100) as meter:
        for at in range(1, 101):
            clock.append(clock[-1] + 0.125)
            meter.begin(at, "")
    assert [line.split()[0] for line in lines()] == [f"[{at}/100]" for at in (*range(1, 100, 8), 100)]


def test_runs_of_other_crews_are_still_under_way(clock: list[float], lines: Lines) -> None:
    """The sixth of ten has begun, of which two others are at work: three are done in 30 s."""
    with StudyMeter(10, crews=3) as meter:
        clock.append(clock[-1] + 30)
        meter.begin(6, "x")
    assert lines() == ["[6/10] x (the last took 30.0 s, 01:10 left)"]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with StudyMeter(3) as meter:
        meter.begin(1, "first")
        meter.begin(3, "third")
        meter.end()
    said = capsys.readouterr().err
    assert "[1/3]" not in said
    bars = [bar.split(" |")[0].strip() for bar in said.split("\r") if "|" in bar]
    assert list(dict.fromkeys(bars)) == ["0/3", "2/3", "3/3"]
    assert "first" in said
