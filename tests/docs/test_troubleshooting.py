"""Every message that docs/TROUBLESHOOTING.md explains is one that the software prints.

An entry is a heading `### ` with the message. Either a row of the table below produces it, or the entry ends with
`Test: ` and the test that does; that test has the words of the message in it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mpirobust.records import run_folder
from tests.docs.pages import text
from tests.support.alone import command_alone, run_alone
from tests.support.launching import REPOSITORY
from tests.support.rows import write_rows
from tests.support.small_studies import PLAN

_ENTRY = re.compile(r"^### `(.+)`\n((?:(?!^#).*\n?)*)", re.MULTILINE)
_TEST = re.compile(r"^Test: `([\w/]+\.py)::(\w+)(?:\[.*\])?`", re.MULTILINE)
_OPEN = re.compile(r"…|\b(?:FILE|DIR|KEY|VALUE|N)\b")  # what stands for something else in a message

_ENTRIES: dict[str, str] = dict(_ENTRY.findall(text("TROUBLESHOOTING.md")))

# Commands in a folder with a plan and a finished run, by what the entry has of their message.
_PRODUCED = {
    "no such plan": "check absent.toml",
    "not TOML: …": "check broken.toml",
    "is not UTF-8": "check latin.toml",
    "unknown key": "check plan.toml --set algorithm.stpe=1",
    "expected …, not": "check plan.toml --set algorithm.rounds=1e3",
    "64 bits": "check plan.toml --set algorithm.rounds=10000000000000000000",
    "kind 'none'": "check plan.toml --set attack.kind=none",
    "is below": "check plan.toml --set aggregator.beta=0.1",
    "at most one per row": "check plan.toml --set workers=121",
    "is no time limit": "run plan.toml --time-limit 60",
    "data.path: no file": "check plan.toml --set data.kind=libsvm --set data.path=absent.svm",
    "cannot write DIR/stores": "check plan.toml --set data.kind=libsvm --set data.path=rows.svm --set data.features=30",
    "--overwrite replaces it": "run plan.toml --out run",
    "of another plan": "run plan.toml --out run --resume --set algorithm.step=0.2",
    "another run is writing": "run plan.toml --out locked",
    "damaged": "inspect broken",
    "cannot write to DIR": "run plan.toml --out /proc/run",
    "no run at": "inspect absent",
    "figures need matplotlib": "report run --out picture.png",
    "kind of picture": "report run --out picture.txt",
    "interrupted": "run plan.toml --out short --time-limit 1s",
    "diverged after": "run plan.toml --out far --set algorithm.step=1e200",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("troubles")
    (folder / "plan.toml").write_text(PLAN)
    (folder / "broken.toml").write_text("seed = one")
    (folder / "latin.toml").write_bytes(b"# M\xfcller\n")
    write_rows(folder / "rows.svm")
    run_alone(folder / "plan.toml", folder / "run")
    (folder / "broken").mkdir()
    (folder / "broken" / "run.h5").write_bytes((folder / "run" / "run.h5").read_bytes()[:-1])
    return folder


@pytest.mark.parametrize("words", _PRODUCED)
def test_the_message_is_printed(
    words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = (each for each in _ENTRIES if words in each)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPIROBUST_CACHE", "/proc/none")
    if "matplotlib" in entry:
        monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with run_folder.lock(Path("locked")):
        command_alone(*_PRODUCED[words].split())
    said = capsys.readouterr()
    message = ".*".join(map(re.escape, _OPEN.split(entry)))
    assert re.search(message, said.err + said.out), f"{entry}\n{said.err}"


@pytest.mark.parametrize("entry", _ENTRIES)
def test_every_entry_is_held(entry: str) -> None:
    rows = [words for words in _PRODUCED if words in entry]
    held = _TEST.search(_ENTRIES[entry])
    assert bool(held) != bool(rows), "a row of the table or a test elsewhere, and not both"
    if held:
        source = (REPOSITORY / held[1]).read_text()
        assert f"def {held[2]}(" in source, held[0]
        words = max(_OPEN.split(re.sub(r"\d+|'[^']*'", "…", entry)), key=len).strip(" :;(")
        assert words in source, f"{held[1]} does not have the words {words!r}"


@pytest.mark.parametrize("entry", _ENTRIES)
def test_every_entry_has_cause_and_remedy(entry: str) -> None:
    assert re.search(r"^Cause: .+^Remedy: ", _ENTRIES[entry], re.MULTILINE | re.DOTALL)
