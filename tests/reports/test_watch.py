"""`mpirobust watch`: what it shows of a run in another process, when it ends, and that it leaves the run alone."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mpirobust.records.run_folder import lock
from mpirobust.reports import watch as watching
from mpirobust.reports.summary import summary
from mpirobust.reports.watch import sparkline
from tests.support.alone import command_alone
from tests.support.launching import REPOSITORY
from tests.support.small_traces import write_trace

_ROUNDS = 4


class Gated:
    """A run in another process that goes on when it is told to."""

    def __init__(self, folder: Path) -> None:
        pipes = [folder / name for name in ("tells", "waits")]
        for pipe in pipes:
            os.mkfifo(pipe)
        self.folder = folder / "run"
        gate = f"{REPOSITORY / 'tests' / 'support' / 'gate.py'}:Gate"
        small = ["workers=10", "data.rows=40", "data.features=3", f"algorithm.rounds={_ROUNDS}", "aggregator.beta=0.2"]
        observers = [f"kind={gate}", *(f"{pipe.name}={pipe}" for pipe in pipes)]
        sets = [*small, "observers.recorder.every_seconds=0", *(f"observers.gate.{each}" for each in observers)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mpirobust", "run", str(REPOSITORY / "configs" / "quickstart.toml")]
            + [f"--set={each}" for each in sets]
            + ["--out", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._tells = os.open(pipes[0], os.O_RDONLY)
        self._waits = os.open(pipes[1], os.O_WRONLY)
        assert os.read(self._tells, 1) == b"."  # the first round is done

    def next_round(self, _: float = 0.0) -> None:
        """Let the run go on, and return when it has done another round, or has ended."""
        os.write(self._waits, b".")
        if not os.read(self._tells, 1):
            self.process.wait()

    def end(self) -> int:
        """Let the run go on to its end, and return its exit code."""
        os.write(self._waits, b"." * _ROUNDS)
        return self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._tells)
        os.close(self._waits)


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    run = Gated(tmp_path)
    yield run
    run.close()


def watched(monkeypatch: pytest.MonkeyPatch, path: Path, wait: Callable[[float], None]) -> int:
    monkeypatch.setattr(watching, "watch", partial(watching.watch, wait=wait))
    return command_alone("watch", str(path))


def never(_: float) -> None:
    pytest.fail("it waits for a run that has ended")


def test_it_follows_a_run_in_another_process_to_its_end(
    gated: Gated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone holds that the view is of a run that goes on, beside two runs of other tests."""
    monkeypatch.setattr(watching, "_SELDOM", 0.0)
    assert watched(monkeypatch, gated.folder, gated.next_round) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 1 < len(lines) <= _ROUNDS + 1
    assert all(re.fullmatch(rf"round \d/{_ROUNDS}  loss .*running", line) for line in lines[:-1])
    assert lines[-1].startswith(f"round {_ROUNDS}/{_ROUNDS}  ")
    assert lines[-1].endswith("  finished")


def test_ctrl_c_ends_the_view_and_leaves_the_run_alone(
    gated: Gated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    assert watched(monkeypatch, gated.folder, interrupted) == 130
    assert capsys.readouterr().err == "mpirobust: no longer watching; the run goes on\n"
    assert gated.process.poll() is None
    assert gated.end() == 0
    assert command_alone("inspect", "--status", str(gated.folder)) == 0
    assert capsys.readouterr().out == "finished\n"


class Terminal(io.StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


def test_it_is_drawn_again_in_place_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_trace(tmp_path / "run", [4.0, 2.0], status="running", attack={"kind": "x\x1b[2J" + 60 * "y"})
    held = lock(run)

    def goes_on(_: float) -> None:
        write_trace(run, [4.0, 2.0, 1.0])

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    assert watched(monkeypatch, run, goes_on) == 0
    held.close()
    first, second = terminal.getvalue().split("\r\x1b[J")[1:]
    height = first.count("\n")
    assert first.endswith(f"\x1b[{height}A")  # up to where the view began
    assert "running" in first
    assert "finished" in second
    shown = [*first.splitlines()[:-1], *second.splitlines()]
    assert max(map(len, shown)) < 40
    assert "1 of 1" in first
    assert "2 of 2" in second


@pytest.mark.parametrize("status", ["finished", "converged", "diverged", "interrupted", "lost"])
def test_a_run_that_has_ended_is_shown_once(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_trace(tmp_path / "run", status=status)
    assert watched(monkeypatch, run / "run.h5", never) == 0
    assert capsys.readouterr().out.rstrip().endswith(status)


def test_a_run_that_was_killed_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trace says `running`, and no process of this host holds the lock."""
    import platform

    run = write_trace(tmp_path / "run", status="running", facts={"hosts": platform.node()})
    lock(run).close()
    assert watched(monkeypatch, run, never) == 0
    assert "not held" in capsys.readouterr().out


@pytest.mark.parametrize(("writer", "left"), [("alive", True), (None, True), ("not held", False), ("unknown", False)])
def test_a_time_is_left_only_to_a_run_that_goes_on(writer: str | None, left: bool, tmp_path: Path) -> None:
    figures = summary(write_trace(tmp_path / "run", [4.0, 2.0], status="running")) | {"writer": writer}
    figures["plan"]["algorithm"]["rounds"] = 31
    recent: Any = SimpleNamespace(seconds=2.0, kept=None, norms=np.ones(2))
    for text in (watching.line(figures, recent), watching.lines(figures, recent, tmp_path)[1]):
        assert text.endswith("1:00 left") or "1:00 left  " in text if left else "left" not in text


def test_a_run_that_has_just_begun_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = lock(tmp_path / "run")

    def begins(_: float) -> None:
        write_trace(tmp_path / "run")

    assert watched(monkeypatch, tmp_path / "run", begins) == 0
    held.close()
    assert capsys.readouterr().out.splitlines()[0].endswith("run: begun")


def test_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(monkeypatch, tmp_path / "none", never) == 2
    assert capsys.readouterr().err == f"mpirobust: no run at {tmp_path / 'none'}\n"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        ([np.nan, np.inf], ""),
        ([1.0], "▁"),
        ([1e4, 1e2, 1.0], "█▅▁"),
        ([-1.0, 0.0, 1.0], "▁▅█"),
    ],
)
def test_sparklines(values: list[float], text: str) -> None:
    assert sparkline(np.array(values)) == text


def test_a_sparkline_has_room_for_any_number_of_audits() -> None:
    assert len(sparkline(np.arange(1.0, 9999.0))) == 40
