"""Names that no shell has seen, of any characters and bytes: taken, or one message."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import h5py
import pytest

from tests.support.alone import command_alone
from tests.support.unprivileged import unprivileged

PLAN = """
seed = 1
workers = 2
data = { kind = "libsvm", path = "rows.svm" }
problem.kind = "logistic"
algorithm = { kind = "first-order", rounds = 2, step = 0.1 }
aggregator.kind = "mean"
"""
NAMES = {
    "blank": "a b",
    "newline": "a\nb",
    "not UTF-8": os.fsdecode(b"a\xff"),
    "formula": "$a^$",
    "underscore": "_a",
    "escape": "\x1b[2Ja",
    "dash": "-a",
    "letters": "ä∇",
    "percent": "%s{}",
    "quote": "a'b\"",
    "tilde inside": "a~b",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MPIROBUST_DATA", raising=False)
    (tmp_path / "home").mkdir()
    _write(tmp_path)
    return tmp_path


def _write(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "rows.svm").write_text("1 1:2 2:3\n-1 2:1\n")
    (folder / "plan.toml").write_text(PLAN)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_holds_plan_data_and_run(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / NAMES[name]
    _write(folder)
    run = ["run", str(folder / "plan.toml"), f"--out={NAMES[name]}/out"]
    for command in (
        ["check", str(folder / "plan.toml")],
        run,
        [*run, "--resume", "--set", "algorithm.rounds=3"],
        ["inspect", str(folder / "out")],
        ["report", str(folder / "out"), f"--out={NAMES[name]}/table.csv"],
    ):
        assert command_alone(*command) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "\x1b" not in said.out + said.err
    (folder / "table.csv").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_command_can_be_pasted(name: str, here: Path) -> None:
    arguments = ["run", "plan.toml", f"--out=out/{NAMES[name]}", "--set", "data.path=rows.svm"]
    assert command_alone(*arguments) == 0
    with h5py.File(here / "out" / NAMES[name] / "run.h5") as file:
        stored = file.attrs["command"]
    told = [each.replace("\udcff", "\\xff") for each in arguments]
    assert shlex.split(stored) == ["mpirobust", *told]


def test_a_figure_shows_names_as_they_are(here: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    assert matplotlib.__version__
    assert command_alone("run", "plan.toml", "--out", "out/a") == 0
    for name in NAMES.values():
        (here / "out" / name).mkdir()
        (here / "out" / name / "run.h5").hardlink_to(here / "out" / "a" / "run.h5")
    assert command_alone("report", "out", f"--out={NAMES['not UTF-8']}.png") == 0
    assert (here / f"{NAMES['not UTF-8']}.png").read_bytes().startswith(b"\x89PNG")


def test_the_home_folder_is_meant_where_no_shell_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = here / "home"
    _write(home / "in")
    monkeypatch.setenv("MPIROBUST_CACHE", "~/its-cache")
    assert command_alone("run", "~/in/plan.toml", "--out=~/out") == 0
    assert (home / "out" / "run.h5").is_file()
    assert len(list((home / "its-cache" / "stores").iterdir())) == 1
    (here / "rows.svm").unlink()
    assert command_alone("data", "plan.toml") == 2
    assert command_alone("data", "plan.toml", "--set", 'data.path="~/in/rows.svm"') == 0
    monkeypatch.setenv("MPIROBUST_DATA", "~/in")
    assert command_alone("data", "plan.toml") == 0
    assert command_alone("inspect", "~/out") == 0
    assert command_alone("report", "~/out", "--out=~/table.csv") == 0
    assert (home / "table.csv").is_file()
    assert not (here / "~").exists()


NOBODY = "~no-user-of-this-name/x"
REFUSED: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no --out": (["run", "plan.toml", "--out", ""], {}, "'--out': expected a path, not an empty text"),
    "no --out=": (["run", "plan.toml", "--out="], {}, "'--out': expected a path, not an empty text"),
    "no plan": (["check", ""], {}, "'PLAN': expected a path, not an empty text"),
    "no run": (["inspect", ""], {}, "'PATH': expected a path, not an empty text"),
    "no table": (["report", "home", "--out="], {}, "'--out': expected a path, not an empty text"),
    "no such home": (["run", "plan.toml", f"--out={NOBODY}"], {}, f"{NOBODY}: no such home folder is known"),
    "no such home of data": (
        ["data", "plan.toml", "--set", f"data.path={NOBODY}"],
        {},
        f"data.path: {NOBODY}: no such home folder",
    ),
    "no such home in $MPIROBUST_DATA": (["data", "plan.toml"], {"MPIROBUST_DATA": NOBODY}, "$MPIROBUST_DATA: ~no-"),
    "no such home in $MPIROBUST_CACHE": (["data", "plan.toml"], {"MPIROBUST_CACHE": NOBODY}, "$MPIROBUST_CACHE: ~no-"),
    "a key that is not UTF-8": (
        ["run", "plan.toml", "--set", os.fsdecode(b"data.path=\xff")],
        {},
        "plan.toml: --set data.path=\\xff: not UTF-8",
    ),
    "data with a NUL": (["data", "plan.toml", "--set", 'data.path="a\\u0000b"'], {}, "data.path: no file 'a\\x00b'"),
    "no data": (["data", "plan.toml", "--set", 'data.path="~/none"'], {}, "data.path: no file '~/none'; looked for"),
    "data that are a folder": (["data", "plan.toml", "--set", "data.path=home"], {}, "data.path: no file 'home'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_nothing_is_one_message(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, environment, message = REFUSED[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    before = sorted(here.rglob("*"))
    assert command_alone(*command) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["run", "plan.toml"], 2, "plan.toml: no such plan"),
        (["run", "{plan}"], 5, "cannot write to runs/plan: No such file or directory"),
        (["run", "{plan}", "--out=out"], 5, "cannot write to out: No such file or directory"),
        (["inspect", "out"], 2, "no run at out"),
        (["report", "{run}", "--out=t.csv"], 5, "cannot write t.csv: No such file or directory"),
    ],
)
def test_the_folder_in_which_a_command_runs_is_gone(
    command: list[str], code: int, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_alone("run", "plan.toml", "--out", "run") == 0
    gone = here / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    capsys.readouterr()
    try:
        found = command_alone(*(each.format(plan=here / "plan.toml", run=here / "run") for each in command))
    finally:
        os.chdir(here)
    assert (found, capsys.readouterr().err) == (code, f"mpirobust: {message}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
@pytest.mark.parametrize(
    ("closed", "command", "code", "message"),
    [
        ("home", ["data", "plan.toml", "--set", "data.path=home/x"], 2, "data.path: {here}/home/x cannot be read ("),
        ("home", ["run", "plan.toml", "--out=home/x/y"], 5, "home/x/y: Permission denied"),
        ("home", ["inspect", "home/x"], 2, "home/x: cannot be read (Permission denied)"),
        ("home", ["report", "home/x", "--out=table.csv"], 5, "home/x: Permission denied"),
        ("rows.svm", ["data", "plan.toml"], 2, "{here}/rows.svm: cannot be read (Permission denied)"),
        ("plan.toml", ["check", "plan.toml"], 2, "plan.toml: cannot be read: Permission denied"),
        ("cache", ["data", "plan.toml"], 2, "{here}/cache/stores: cannot be read (Permission denied)"),
    ],
)
def test_what_cannot_be_read_is_one_message(
    closed: str, command: list[str], code: int, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / closed
    if not path.exists():
        path.mkdir()
    path.chmod(0)
    try:
        with unprivileged():
            assert command_alone(*command) == code
    finally:
        path.chmod(0o700)
    said = capsys.readouterr()
    assert message.format(here=here) in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
