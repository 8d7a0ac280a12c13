"""The tutorials work as they are written, and print what they show."""

from __future__ import annotations

import runpy
import shlex
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import steps
from tests.support.alone import command_alone
from tests.support.launching import CONFIGS

_PAGES = ["QUICKSTART.md", "OWN_DATA.md", "OWN_LOSS.md", "READING.md"]
_LAUNCHERS = ("jobs/mpirun-local", "mpirun")  # the result is the same on any number of ranks; tests/mpirun starts them
_ELSEWHERE = ("git", "python3", "pip", "pytest")  # what sets up: tests/packaging, tests/mpirun/test_outside_package.py
_SHORTER = {"algorithm.rounds=3000": "algorithm.rounds=110"}  # what a reader has the time to kill


@pytest.mark.parametrize("page", _PAGES)
def test_the_page_does_what_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone runs the tutorials from end to end, as a reader does; 5 to 15 s a page, for its runs."""
    pytest.importorskip("matplotlib")
    (tmp_path / "configs").mkdir()
    shutil.copy(CONFIGS / "quickstart.toml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    todo, said = steps(page), {}
    shown = {what for what, _ in todo}
    for what, content in todo:
        kind, _, name = what.partition(" ")
        if kind == "file":
            Path(name).write_text(content)
            if f"output {name}" in shown:
                runpy.run_path(name)
                said[name] = _printed(capsys)
        elif kind == "output":
            assert set(content.splitlines()) <= {*said[name].splitlines()}, f"{name} printed\n{said[name]}"
        elif words := _command(content):
            said[shlex.join(words)] = _carried_out(words, capsys)
    assert said


def _command(line: str) -> list[str]:
    """Return the words of a line that this test carries out; none for another line."""
    words = [_SHORTER.get(word, word) for word in shlex.split(line, comments=True)]
    if words and words[0] in _LAUNCHERS:
        words = words[3:]
    assert not words or words[0] in ("mpirobust", "python", *_ELSEWHERE), f"who tests {line!r}?"
    return [] if not words or words[0] in _ELSEWHERE else words


def _carried_out(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    if words[0] == "python":
        runpy.run_path(words[1])
    else:
        code = command_alone(*words[1:])
        assert code == 0, f"{shlex.join(words)}: {code}\n{_printed(capsys)}"
    return _printed(capsys)


def _printed(capsys: pytest.CaptureFixture[str]) -> str:
    return "".join(capsys.readouterr())
