"""What the variables of a launcher say, and what they are believed: a shell or a subprocess of a rank has them too."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mpirobust.comm import launch
from tests.support.alone import command_alone

_CLAIMS = [(size, rank) for size, rank in launch._LAUNCHERS]


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (name for pair in _CLAIMS for name in pair):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("size", "rank"), _CLAIMS)
@pytest.mark.parametrize("command", ["check", "inspect", "report"])
def test_a_command_for_one_process_answers_whatever_rank_it_is_said_to_be(
    command: str,
    size: str,
    rank: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(size, "4")
    monkeypatch.setenv(rank, "2")
    assert command_alone(command, str(tmp_path / "nothing-here")) == 2
    assert "nothing-here" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "rank"), _CLAIMS)
@pytest.mark.parametrize(
    ("starter", "number", "speaks"),
    [
        *[("prterun", 0, True), ("prted", 1, False), ("orted", 2, False), ("hydra_pmi_proxy", 3, False)],
        *[("slurmstepd", 1, False), ("bash", 2, True), ("python3", 3, True), ("xterm", 1, True)],
    ],
)
def test_only_the_own_processes_of_a_launcher_leave_it_to_rank_0(
    starter: str, number: int, speaks: bool, size: str, rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(size, "4")
    monkeypatch.setenv(rank, str(number))
    read = Path.read_text
    parent = f"/proc/{os.getppid()}/comm"
    monkeypatch.setattr(Path, "read_text", lambda path: f"{starter}\n" if str(path) == parent else read(path))
    assert launch.speaks() == speaks


def test_what_is_no_number_is_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "many")
    monkeypatch.setenv("PMI_RANK", "2")
    assert launch.launched_as() is None


def test_an_end_that_is_nearer_stands() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    try:
        launch.end_after(40)
        launch.end_after(3000)
        assert 0 < signal.alarm(0) <= 40
    finally:
        signal.signal(signal.SIGALRM, handler)
