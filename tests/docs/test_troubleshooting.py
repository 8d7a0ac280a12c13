"""Every message that docs/TROUBLESHOOTING.md explains is one that the software prints.

An entry is a heading `### ` with the message. Either a row of the table below produces it, or the entry ends with
`Test: ` and the test that does; that test has the words of the message in it.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from mpirobust.records import run_folder
from tests.docs.pages import text
from tests.support.alone import command_alone, run_alone
from tests.support.launching import REPOSITORY
from tests.support.rows import write_rows
from tests.support.sealing import resealed
from tests.support.small_studies import PLAN

_ENTRY = re.compile(r"^### `(.+)`\n((?:(?!^#).*\n?)*)", re.MULTILINE)
_TEST = re.compile(r"^Test: `([\w/]+\.py)::(?:\w+::)?(\w+)(?:\[.*\])?`", re.MULTILINE)
_OPEN = re.compile(r"…|\b(?:FILE|DIR|KEY|VALUE|N)\b")  # what stands for something else in a message

_ENTRIES: dict[str, str] = dict(_ENTRY.findall(text("TROUBLESHOOTING.md")))

_DATA = "data data.toml --set data.path="

# Commands in a folder with plans, data and runs, by what the entry has of their message.
_PRODUCED = {
    "no such plan": "check absent.toml",
    "unknown key": "check plan.toml --set algorithm.stpe=1",
    "expected …, not": "check plan.toml --set algorithm.rounds=1e3",
    "not TOML: …": "check broken.toml",
    "is below": "check plan.toml --set aggregator.beta=0.1",
    "which is dropped": "check split.toml --set data.test=rows.svm",
    "none is Byzantine": "check plan.toml --set workers=5 --set attack.alpha=0.1",
    "half of them or more": "check plan.toml --set workers=2",
    "goes with radius": "check plan.toml --set algorithm.around=start",
    "kind 'none'": "check plan.toml --set attack.kind=none",
    "nothing in a plan": "explain cubic-newtn",
    "exists already": "new --out plan.toml",
    "at most one per row": "check plan.toml --set workers=121",
    "64 bits": "check plan.toml --set algorithm.rounds=10000000000000000000",
    "is not UTF-8": "check latin.toml",
    "cannot be read: not a regular": "check pipe",
    "data.path: no file": _DATA + "absent.svm",
    "the file needs": _DATA + "rows.svm --set data.features=20",
    "unknown in training": _DATA + "rows.svm --set data.test=other-labels.svm",
    "of feature VALUE": _DATA + "underscore.svm",
    "more than one label": _DATA + "labels.svm",
    "distinct labels": _DATA + "targets.svm",
    "if that is meant": _DATA + "wide.svm",
    "column N (VALUE)": _DATA + "gap.csv --set data.kind=csv --set data.label=y",
    "no column VALUE": _DATA + "gap.csv --set data.kind=csv --set data.label=class",
    "type object": _DATA + "objects.npz --set data.kind=npz",
    "text in UTF-16": _DATA + "utf16.svm",
    "zip archive": _DATA + "objects.npz",
    "gzip": _DATA + "cut.svm.gz",
    "no kind of data file": "data prepare latin.toml",
    "leaves no row": _DATA + "rows.svm --set data.split=0.9999",
    "cannot write DIR/stores": _DATA + "rows.svm",
    "all users may write": _DATA + "rows.svm",
    "--overwrite replaces it": "run plan.toml --out run",
    "is no time limit": "run plan.toml --time-limit 60",
    "an empty text": "run plan.toml --out=",
    "no such home folder": "run plan.toml --out=~no-user-of-this-name/x",
    "cannot write to DIR": "run plan.toml --out /proc/run",
    "another run is writing": "run plan.toml --out locked",
    "is not a file of mpirobust": "run plan.toml --out foreign --overwrite",
    "FILE is not a regular": "run plan.toml --out piped",
    "run.lock is a link": "run plan.toml --out linked",
    "diverged after": "run plan.toml --out far --set algorithm.step=1e200",
    "no round fits": "run plan.toml --out shorter --time-limit 1.9s",
    "interrupted": "run plan.toml --out short --time-limit 1.9s",
    "of another plan": "run plan.toml --out run --resume --set algorithm.step=0.2",
    "no run to resume": "resume absent",
    "has finished already": "run plan.toml --out run --resume",
    "has no checkpoint": "run plan.toml --out bare --resume",
    "passed over": "run plan.toml --out torn --resume",
    "and no plan": "run run",
    "no run at": "inspect absent",
    "figures need matplotlib": "report run --out picture.png",
    "not held": "inspect killed",
    "damaged, or": "inspect broken",
    "kind of picture": "scaling run --out picture.txt",
    "kind of file": "report run --out picture.txt",
    "no plan has the key": "report run --by sead",
    "--label: N": "report run --label one --label two",
    "none of these runs": "report run --out picture.png --metric auc",
    "it is not a regular file": "report run --out folder.csv",
    "expected key=values": "sweep plan.toml --over seed",
    "split the sweep": "sweep plan.toml --over seed=1..1000000",
    "give each value once": "sweep plan.toml --over algorithm.step=0.1,1e-1",
    "give one of the two": "sweep plan.toml --over seed=1,2 --set seed=3",
    "--ranks-per-run N": "sweep plan.toml --over seed=1,2 --ranks-per-run 2",
    "no best point": "sweep plan.toml --over algorithm.step=1e200 --out swept",
}
_CACHES = {"cannot write DIR/stores": "/proc/none", "all users may write": "open"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("troubles")
    (folder / "plan.toml").write_text(PLAN)
    (folder / "data.toml").write_text(PLAN.replace('kind = "regression"\nrows = 120\nfeatures = 6', 'kind = "libsvm"'))
    (folder / "broken.toml").write_text("seed = one")
    (folder / "latin.toml").write_bytes(b"# M\xfcller\n")
    os.mkfifo(folder / "pipe")
    _lay_out_data(folder)
    _lay_out_runs(folder)
    return folder


def _lay_out_data(folder: Path) -> None:
    write_rows(folder / "rows.svm")
    table = tomllib.loads(PLAN)
    table |= {"data": {"kind": "libsvm", "path": "rows.svm", "split": 0.7}, "problem": {"kind": "logistic"}}
    (folder / "split.toml").write_text(tomli_w.dumps(table))
    (folder / "other-labels.svm").write_text("0 1:1\n")
    (folder / "underscore.svm").write_text("1 1:1_000\n")
    (folder / "labels.svm").write_text("1,2 1:1\n")
    (folder / "targets.svm").write_text("".join(f"{at}.5 1:1\n" for at in range(1001)))
    (folder / "wide.svm").write_text("1 2000000000:1\n")
    (folder / "utf16.svm").write_text("1 1:1\n", encoding="utf-16")
    (folder / "cut.svm.gz").write_bytes(gzip.compress(b"1 1:1\n")[:-4])
    (folder / "gap.csv").write_text("x,y\n1,0\n,1\n")
    np.savez(folder / "objects.npz", X=np.array([[None]]), y=np.ones(1))
    (folder / "open" / "stores").mkdir(parents=True)
    (folder / "open" / "stores").chmod(0o777)


def _lay_out_runs(folder: Path) -> None:
    run = run_alone(folder / "plan.toml", folder / "run")
    for name in ("broken", "bare", "killed", "torn"):
        (folder / name).mkdir()
        shutil.copy(run / "run.h5", folder / name)
    for name in ("foreign", "piped", "linked", "folder.csv"):
        (folder / name).mkdir()
    os.truncate(folder / "broken" / "run.h5", 5000)
    with resealed(folder / "killed" / "run.h5") as file:
        file.attrs["status"] = "running"
    (folder / "killed" / "run.lock").touch()
    (folder / "torn" / "checkpoint-000000012.h5").write_bytes((run / "checkpoint-000000012.h5").read_bytes()[:-1])
    (folder / "foreign" / "run.h5").write_text("of another program")
    os.mkfifo(folder / "piped" / "run.h5")
    (folder / "linked" / "run.lock").symlink_to(folder / "plan.toml")


@pytest.mark.parametrize("words", _PRODUCED)
def test_the_message_is_printed(
    words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = (each for each in _ENTRIES if words in each)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPIROBUST_CACHE", _CACHES.get(words, "cache"))
    if "matplotlib" in entry:
        for module in ("matplotlib", "matplotlib.figure"):  # as if it were not installed
            monkeypatch.setitem(sys.modules, module, None)
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
        words = max(_OPEN.split(re.sub(r"\d+|'[^']*'", "…", entry)), key=len).strip(" ,:;()")
        assert words in source, f"{held[1]} does not have the words {words!r}"


@pytest.mark.parametrize("entry", _ENTRIES)
def test_every_entry_has_cause_and_remedy(entry: str) -> None:
    assert re.search(r"^Cause: .+^Remedy: ", _ENTRIES[entry], re.MULTILINE | re.DOTALL)
