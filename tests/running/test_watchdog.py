"""A job that hangs is ended, whatever its main thread waits for, with one message and its code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
import tomli_w

from mpirobust.comm.local import LocalCommunicator
from mpirobust.data import reading
from mpirobust.data.sources import libsvm
from mpirobust.data.sources.base import Places
from mpirobust.data.sources.regression import Regression
from mpirobust.errors import Exit, Interrupted
from mpirobust.running import experiment, watchdog
from mpirobust.running.ranks import RankFacts
from mpirobust.running.setup import RunRequest
from mpirobust.running.stop_signals import StopSignals
from mpirobust.running.watchdog import Watchdog
from mpirobust.testing.support.clusters import regression_plan
from tests.support.alone import command_alone
from tests.support.rows import write_rows

_LONG = 60  # seconds; against hangs


class Comm(LocalCommunicator):
    """Pretends to be one of several ranks."""

    size = 4
    broken = False

    def __init__(self, rank: int = 0, survives: bool = False) -> None:
        self.rank = self.number = rank
        self.survives = survives

    @property
    def active(self) -> bool:
        return not self.broken


class Ended(Event):
    """Set when the watchdog would have ended this process.

    Attributes:
        how: the exit codes and signals.
    """

    def __init__(self) -> None:
        super().__init__()
        self.how: list[int] = []
        self.seen = Event()

    def note(self, number: int) -> None:
        self.how.append(number)
        self.set()
        self.seen.wait(_LONG)  # the thread that ends a process does not go on


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Ended:
    end = Ended()
    monkeypatch.setattr(watchdog, "_GRACE", 0.3)
    monkeypatch.setattr(watchdog, "_TURN", 0.2)
    monkeypatch.setattr(os, "_exit", end.note)
    monkeypatch.setattr(os, "kill", lambda _, number: end.note(number))
    return end


def hang(ended: Ended, comm: Comm, ends: float | None, patience: float | None, prepare: Callable[[Any], None]) -> None:
    with StopSignals() as signals, Watchdog(comm, signals, ends, patience) as dog:
        prepare(dog)
        assert ended.wait(_LONG)
        dog._over.set()
        ended.seen.set()


_PASSED = "the time limit has passed, and round 8 has not ended; --resume continues from the newest checkpoint"
_NEWEST = "; --resume continues from the newest checkpoint"


@pytest.mark.parametrize(
    ("comm", "ends", "patience", "how", "says"),
    [
        (Comm(), None, 0.05, Exit.LOST, f"mpirobust: round 8 has not ended within 0.05 s{_NEWEST}"),
        (Comm(1), None, 0.05, Exit.LOST, f"mpirobust: rank 1: round 8 has not ended within 0.05 s{_NEWEST}"),
        (Comm(2), None, 0.05, Exit.LOST, ""),
        (Comm(0, True), None, 0.05, signal.SIGKILL, f"mpirobust: round 8 has not ended within 0.05 s{_NEWEST}"),
        (Comm(1, True), None, 0.05, Exit.LOST, f"mpirobust: rank 1: round 8 has not ended within 0.05 s{_NEWEST}"),
        (
            Comm(),
            0.0,
            None,
            Exit.INTERRUPTED,
            f"mpirobust: {_PASSED}",
        ),
        (Comm(3), 0.0, None, Exit.INTERRUPTED, ""),
        (
            Comm(),
            0.0,
            60.0,
            Exit.INTERRUPTED,
            f"mpirobust: {_PASSED}",
        ),
        (Comm(), 3600.0, 0.05, Exit.LOST, f"mpirobust: round 8 has not ended within 0.05 s{_NEWEST}"),
    ],
)
def test_a_round_that_does_not_end(
    comm: Comm,
    ends: float | None,
    patience: float | None,
    how: int,
    says: str,
    ended: Ended,
    capsys: pytest.CaptureFixture[str],
) -> None:
    limit = None if ends is None else monotonic() + ends
    hang(ended, comm, limit, patience, lambda dog: dog.feed("round 8"))
    assert ended.how[0] == how
    assert capsys.readouterr().err.strip() == says


def test_set_up_that_does_not_end(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    hang(ended, Comm(), monotonic(), None, lambda _: None)
    assert ended.how[0] == Exit.INTERRUPTED
    told = "mpirobust: the time limit has passed, and set-up has not ended; nothing new was saved"
    assert capsys.readouterr().err.strip() == told


def test_the_rank_that_does_not_answer_is_named(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare(dog: Any) -> None:
        dog.ranks = [RankFacts(number, f"node{number}", 1, "", "", {}) for number in range(4)]
        dog._silent = lambda: [2, 3]  # of which only the first is certain
        dog.feed("round 8")

    hang(ended, Comm(), None, 0.05, prepare)
    assert "within 0.05 s: no answer from rank 2 on node2; --resume" in capsys.readouterr().err


def test_a_job_that_was_suspended_has_all_its_time_again(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process sees the clock jump; its rounds have not taken longer for that."""
    shift = 0.0
    monkeypatch.setattr(watchdog, "monotonic", lambda: monotonic() + shift)
    with StopSignals() as signals, Watchdog(Comm(), signals, None, 2.5) as dog:
        dog.feed("round 8")
        shift = 60.0
        time.sleep(1.5)  # it looks once a second
        assert not ended.is_set()
        assert ended.wait(_LONG)
        dog._over.set()
        ended.seen.set()


def test_a_rank_whose_center_is_known_to_have_ended_says_nothing(
    ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    comm = Comm(1, True)
    comm.broken = True
    hang(ended, comm, None, 0.05, lambda dog: dog.feed("round 8"))
    assert (ended.how[0], capsys.readouterr().err) == (Exit.LOST, "")


def test_a_round_that_goes_on_is_left_alone(ended: Ended) -> None:
    with StopSignals() as signals, Watchdog(Comm(), signals, None, 0.5) as dog:
        end = monotonic() + 1.5
        while monotonic() < end:
            dog.feed("round 8")
            time.sleep(0.01)
    assert not ended.is_set()
    assert Watchdog(Comm(), signals)._wait() == 1.0
    assert Watchdog(Comm(), signals)._fed == inf


def run_in(tmp_path: Path) -> tuple[Path, Path]:
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(regression_plan().toml())
    return plan, out


@pytest.mark.parametrize("stage", ["prepare", "open"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_ends_set_up(
    number: signal.Signals, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out = run_in(tmp_path)

    step = getattr(Regression, stage)

    def signalled(*args: Any) -> Any:
        signal.raise_signal(number)
        return step(*args)

    monkeypatch.setattr(Regression, stage, signalled)
    with pytest.raises(Interrupted, match=f"ended by {number.name} before the first round; nothing new was saved"):
        experiment.run(RunRequest(plan, out=out), LocalCommunicator())
    assert not out.exists()


def test_a_signal_ends_the_parsing_after_the_piece_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "rows.svm")
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    data = {"kind": "libsvm", "path": "rows.svm"}
    plan.write_text(tomli_w.dumps({**regression_plan().table(), "data": data}))
    parsed, pieces = libsvm._parsed, []

    def signalled(block: bytes, path: Path, before: int) -> Any:
        pieces.append(before)
        signal.raise_signal(signal.SIGTERM)
        return parsed(block, path, before)

    monkeypatch.setattr(libsvm, "_parsed", signalled)
    monkeypatch.setattr(reading, "_PIECE", 100)
    with pytest.raises(Interrupted, match="ended by SIGTERM before the first round"):
        experiment.run(RunRequest(plan, out=out), LocalCommunicator())
    assert len(pieces) == 1


def test_the_time_limit_ends_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = run_in(tmp_path)

    def slow(_: Regression, places: Places) -> list[Path]:
        while True:
            time.sleep(0.01)
            places.check()

    monkeypatch.setattr(Regression, "prepare", slow)
    assert command_alone("run", str(plan), "--out", str(out), "--time-limit", "0.2s") == 75
    told = "mpirobust: ended by the time limit before the first round; nothing new was saved"
    assert told in capsys.readouterr().err.splitlines()
    assert not out.exists()
