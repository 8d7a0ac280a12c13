"""Progress is told of what takes long, and of nothing short."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from mpirobust import meter
from mpirobust.meter import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed."""
    clock = [100.0]
    monkeypatch.setattr(meter, "monotonic", lambda: clock[0])
    return clock


def advance(clock: list[float], shown: Meter, steps: dict[float, int]) -> None:
    begun = clock[0]
    for seconds, done in steps.items():
        clock[0] = begun + seconds
        shown.at(done)


def test_a_line_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("reading rows", 1000) as shown:
        advance(clock, shown, {0.5: 50, 1.9: 190, 2.0: 200, 3: 300, 11.9: 400, 12: 500, 21: 900, 23: 1000})
    assert capsys.readouterr() == (
        "",
        "reading rows: 20 %, 00:11 left\nreading rows: 50 %, 00:14 left\nreading rows: 100 %, 00:00 left\n",
    )


def test_what_was_done_before_says_nothing_of_the_speed(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("fetching rows", 1000) as shown:
        advance(clock, shown, {0: 900, 5: 950})
    assert capsys.readouterr().err == "fetching rows: 95 %, 00:05 left\n"


@pytest.mark.parametrize(
    ("total", "unit", "steps", "line"),
    [
        (0, "B", {0: 0, 3: 12_300_000}, "doing it: 12.3MB"),
        (8, " runs", {3: 0}, "doing it: 0 %"),
        (0, " runs", {3: 5}, "doing it: 5.00 runs"),
    ],
)
def test_what_is_not_known_is_not_told(
    total: int, unit: str, steps: dict[float, int], line: str, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Meter("doing it", total, unit) as shown:
        advance(clock, shown, steps)
    assert capsys.readouterr().err == f"{line}\n"


def test_a_bar_on_a_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    with Meter("reading \x1b[2Jrows", 1000) as shown:
        advance(clock, shown, {0: 0, 1.9: 300})
        assert not terminal.getvalue()
        advance(clock, shown, {2: 400})
        assert "reading \\x1b[2Jrows:  40%|" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()
    assert terminal.getvalue().rstrip(" ").endswith("\r")
