"""Printing is no part of the work: whatever state the standard streams are in, a command ends with its own code."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mpirobust import terminal
from mpirobust.errors import Exit
from mpirobust.observers.audit import Audits
from mpirobust.observers.progress import Progress
from mpirobust.observers.recorder import Record
from mpirobust.reports.summary import summary
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.contexts import context
from mpirobust.testing.support.witness import first_order, ran
from tests.support.alone import command_alone, run_alone
from tests.support.broken_streams import STATES, broken
from tests.support.launching import REPOSITORY
from tests.support.sealing import resealed
from tests.support.small_studies import PLAN

_TALKATIVE = ("--set", "observers.progress.every_seconds=0")

# What is written in a folder with a plan and a finished run, and the code of that work.
_COMMANDS = {
    ("run", "plan.toml", "--out", "other", "--overwrite", *_TALKATIVE): Exit.OK,
    ("run", "plan.toml", "--out", "far", "--overwrite", "--set", "algorithm.step=1e200"): Exit.DIVERGED,
    ("run", "plan.toml", "--out", "run"): Exit.SETUP,
    ("run", "plan.toml", "--out", "/proc/run"): Exit.STORAGE,
    ("check", "plan.toml"): Exit.OK,
    ("check", "plan.toml", "--set", "workers=0"): Exit.SETUP,
    ("list",): Exit.OK,
    ("list", "problem"): Exit.OK,
    ("data", "plan.toml"): Exit.OK,
    ("inspect", "run"): Exit.OK,
    ("inspect", "run", "--json"): Exit.OK,
    ("inspect", "run", "--status"): Exit.OK,
    ("inspect", "absent"): Exit.SETUP,
    ("report", "run"): Exit.OK,
    ("report", "run", "--out", "table.csv"): Exit.OK,
    ("report", "run", "--out", "plan.toml/table.csv"): Exit.STORAGE,  # a broken result is a fault
    ("report", "run", "--out", "plan.toml/curve.png"): Exit.STORAGE,
    ("scaling", "run", "run"): Exit.SETUP,
    ("figures", "absent"): Exit.SETUP,
    ("matrix", "absent.toml"): Exit.SETUP,
    ("--help",): Exit.OK,
    ("run", "--help"): Exit.OK,
    ("--version",): Exit.OK,
    ("run",): Exit.SETUP,
    ("frobnicate",): Exit.SETUP,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a plan and a finished run of it."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "plan.toml").write_text(PLAN)
    run_alone(folder / "plan.toml", folder / "run")
    return folder


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_the_exit_code_is_that_of_the_work(
    command: tuple[str, ...], state: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with broken(state) as out, broken(state) as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert command_alone(*command) == _COMMANDS[command]


@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full", ">/dev/full 2>&1"])
def test_a_run_is_whole_whatever_its_descriptors_are(redirected: str, tmp_path: Path) -> None:
    """As a process: Python's own last flush must not change the code."""
    (tmp_path / "plan.toml").write_text(PLAN)
    run = f"{sys.executable} -m mpirobust run plan.toml --out out {' '.join(_TALKATIVE)}"
    done = _in_shell(f"{run} {redirected}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert summary(tmp_path / "out")["status"] == "finished"  # the seal holds


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = "import os\nfrom mpirobust.terminal import *\nwith bearing_streams(): assert os.open('f', os.O_CREAT) > 2"
    assert _in_shell(f'{sys.executable} -c "{code}" <&- >&- 2>&-', tmp_path).returncode == 0


@pytest.mark.parametrize("pipe", ["2>&1 >/dev/null | head -c 5", "| true", "2>&1 | true", "2>&1 | head -1"])
def test_a_run_outlives_its_reader(pipe: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    run = f"{sys.executable} -m mpirobust run plan.toml --out out {' '.join(_TALKATIVE)}"
    done = _in_shell(f"{run} {pipe}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "out")["rounds"] == 12


def _in_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    shell = ["bash", "-c", command]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_what_is_lost_is_told_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", heard := io.StringIO())
    with broken("full") as out:
        monkeypatch.setattr(sys, "stdout", out)
        terminal.show("an answer")
    assert heard.getvalue() == "mpirobust: not all could be printed: No space left on device\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8", "utf-16", "shift-jis"])
def test_what_a_terminal_cannot_show_is_escaped(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding))
    terminal.show("‖∇F‖² of é.toml, \udcff.toml")
    text = shown.getvalue().decode(encoding)
    assert "\\udcff.toml" in text  # a byte of a file name that is no UTF-8
    assert ("∇" if encoding.startswith(("utf", "shift")) else "\\u2207") in text


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_all() -> None:
    """As a program: the descriptor is set as the process begins."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    code = "from mpirobust import terminal\nwith terminal.bearing_streams():\n    terminal.show('x' * 10**6)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, cwd=REPOSITORY)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read().count(b"x") == 10**6
    assert process.wait(timeout=60) == 0


def test_a_bar_outlives_its_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal goes away after the second round, and the rounds go on."""
    master, slave = os.openpty()
    stream = os.fdopen(slave, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    local = LocalRun(regression_plan(algorithm=first_order(rounds=6)))
    run = context(local, tmp_path)
    bar = Progress().start(run)
    assert bar is not None
    follow = bar.after_round

    def hang_up(moment: Any) -> None:
        if moment.round == 2:
            os.close(master)
        follow(moment)

    monkeypatch.setattr(bar, "after_round", hang_up)
    with terminal.bearing_streams():
        watches = [watch for watch in (Audits().start(run), Record().start(run), bar) if watch is not None]
        witness = ran(local, *watches)
    stream.close()
    assert len(witness.kept) == 6


_ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202e"
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def hostile(folder: Path) -> SimpleNamespace:
    """Return the paths of plans and of a run that a terminal would obey if they were printed as they are."""
    name = folder / f"{_ESCAPES}.toml"
    name.write_text(PLAN)
    key, kind, run = folder / "key.toml", folder / "kind.toml", folder / "hostile"
    key.write_text(f"{json.dumps(_ESCAPES)} = 1\n{PLAN}")
    kind.write_text(PLAN.replace('"gaussian"', json.dumps(_ESCAPES)))
    run_alone(folder / "plan.toml", run)
    with resealed(run / "run.h5") as file:
        file.attrs["status"] = f"finished{_ESCAPES}"
    return SimpleNamespace(name=name, key=key, kind=kind, run=run)


_NAMING = [
    "check {name}",
    "check {key}",
    "check {kind}",
    "check {name}/in",
    "inspect {run}",
    "inspect {run} --status",
    "inspect {run} --json",
    "report {run}",
    "scaling {run}",
    "list {name}",
    "{name}",
    "inspect {name}",
    "figures {name}",
    "matrix {key}",
]


@pytest.mark.parametrize("command", _NAMING)
def test_nothing_that_is_named_controls_the_terminal(
    command: str, hostile: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    command_alone(*(word.format(**vars(hostile)) for word in command.split()))
    said = "".join(capsys.readouterr())
    assert said
    assert not _OBEYED.search(said)


def test_a_long_message_is_cut_in_its_middle(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(f"first{'x' * 10**7}last")
    said = capsys.readouterr().err
    assert len(said) < 11_000
    assert said.startswith("firstx")
    assert said.endswith("xlast\n")


def _said(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Carry out a small run, of which there is something to note, and return what it said beside its answer."""
    command = ("run", str(folder / "plan.toml"), "--resume", "--set", "observers.progress.every_seconds=0")
    assert command_alone(*command, *options) == Exit.OK
    said = capsys.readouterr()
    assert said.out.startswith("finished after 12 rounds")
    return said.err


def test_a_quiet_run_says_only_its_answer(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = _said(folder, capsys, "--out", str(tmp_path / "a"))
    assert "note: " in usual
    assert "round 12/12" in usual
    assert _said(folder, capsys, "--out", str(tmp_path / "b"), "--quiet") == ""
    assert "note: " in _said(folder, capsys, "--out", str(tmp_path / "c"))  # the next command is as usual


def test_a_quiet_command_says_its_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("-q", "check", "absent.toml") == Exit.SETUP
    assert capsys.readouterr().err == "mpirobust: absent.toml: no such plan\n"


def test_a_verbose_run_says_what_it_writes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "checkpoint after" not in _said(folder, capsys, "--out", str(tmp_path / "a"))
    said = _said(folder, capsys, "--out", str(tmp_path / "b"), "-v")
    assert f"output in {tmp_path / 'b'}; data in no file\n" in said
    assert said.count("checkpoint after round") == 3


def test_the_log_has_all_with_the_time(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    assert _said(folder, capsys, "--out", str(tmp_path / "a"), "-q", "--log", str(log)) == ""
    assert command_alone("--log", str(log), "check", "absent.toml") == Exit.SETUP
    text = log.read_text()
    for said in (
        "note: ",
        "round 12/12 ",
        "checkpoint after ",
        "finished after 12 ",
        "mpirobust: absent.toml: no such ",
    ):
        assert re.search(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{{4}} {re.escape(said)}", text, re.M), said


def test_a_log_that_cannot_be_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("check", str(folder / "plan.toml"), "--log", str(tmp_path / "no" / "log")) == Exit.SETUP
    assert (
        capsys.readouterr().err
        == f"mpirobust: Invalid value for '--log': {tmp_path / 'no' / 'log'}: No such file or directory\n"
    )
    said = _said(folder, capsys, "--out", str(tmp_path / "a"), "-q", "--log", "/dev/full")
    assert said == "mpirobust: the log ends here: /dev/full: No space left on device\n"
