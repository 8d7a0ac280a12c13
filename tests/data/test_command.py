"""`mpirobust data`: its commands, and a plan in the place of one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from mpirobust.data.catalogue import CATALOGUE, DataSet, Remote
from tests.support import data_files
from tests.support.alone import command_alone
from tests.support.web import Page, serving

PLAN = """
seed = 1
workers = 2
problem.kind = "logistic"
algorithm = { kind = "first-order", rounds = 2, step = 0.1 }
aggregator.kind = "mean"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with data of every kind, and an empty folder for downloads."""
    data_files.places(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN + 'data = { kind = "libsvm", path = "rows.svm", split = 0.8 }')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPIROBUST_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command_alone("data", *arguments) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command_alone("data", *arguments) == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err


def stores(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.endswith(".h5")]


@pytest.mark.parametrize("arguments", [["plan.toml"], ["--set", "data.split=0.5", "plan.toml"], ["plan"], ["./list"]])
def test_a_plan_is_prepared(arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("plan", "list"):
        (here / name).write_bytes((here / "plan.toml").read_bytes())
    said = told(capsys, *arguments)
    (store,) = stores(said)
    assert Path(store).parent == here / "cache" / "stores"
    assert re.search(r"^\d+ training and \d+ test rows, 5 features, 3 classes$", said, re.MULTILINE)


@pytest.mark.usefixtures("here")
def test_a_word_that_is_neither_command_nor_plan(capsys: pytest.CaptureFixture[str]) -> None:
    names = "the commands are: list, fetch, prepare, show"
    assert refused(capsys, "ftech", "a9a") == f"mpirobust: no command and no plan 'ftech'; {names}\n"
    assert "absent.toml: no such plan" in refused(capsys, "absent.toml")


def test_the_catalogue(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cache" / "libsvm").mkdir(parents=True)
    (here / "cache" / "libsvm" / "a9a").touch()
    head, *rows = told(capsys, "list").splitlines()
    assert [row.split()[0] for row in rows] == list(CATALOGUE)
    assert head.split() == [
        "name",
        "rows",
        "test",
        "rows",
        "features",
        "classes",
        "download",
        "checksum",
        "terms",
        "here",
    ]
    assert re.fullmatch(r"a9a +32,561 +16,281 +123 +2 +3.5 MB +sha256 +not stated +in part", rows[0])
    assert max(map(len, rows)) <= 120


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_has_all_that_is_known_and_a_plan(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    each, said = CATALOGUE[name], told(capsys, "list", name)
    for text in (each.home, each.terms, *each.mirrors, *(file.checksum for file in each.files)):
        assert text in said
    assert tomllib.loads(said[said.index("[data]") :]) == {"data": each.table()}


@pytest.mark.usefixtures("here")
def test_a_name_that_is_not_in_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["list"], ["fetch"], ["fetch", "a9a"]):
        said = refused(capsys, *command, "a9b")
        assert said.startswith("mpirobust: no data set 'a9b' in the catalogue; choose one of: a9a, w8a, ")


def test_fetched_prepared_and_trained(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines that `fetch` prints make a plan that runs, wherever it lies."""
    with serving() as web:
        for name in ("rows.svm", "test.svm"):
            web.pages[f"/{name}"] = Page((here / name).read_bytes())
        files = (Remote("rows.svm"), Remote("test.svm"))
        monkeypatch.setitem(CATALOGUE, "tiny", DataSet("tiny", "tiny", files, 30, 7, 5, 3, "none", "", (web.url,)))
        monkeypatch.setattr(DataSet, "kind", "libsvm")
        lines = told(capsys, "fetch", "tiny")
        assert told(capsys, "fetch", "tiny", "tiny", "--from", "http://127.0.0.1:9") == 2 * lines
        assert len(web.asked) == 2
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "plan.toml").write_text(
        PLAN.replace("logistic", "network") + "problem.hidden = []\nproblem.classes = 3\n" + lines
    )
    (here / "rows.svm").unlink()
    assert command_alone("run", "elsewhere/plan.toml", "--out", "run") == 0, capsys.readouterr().err
    capsys.readouterr()
    assert len(stores(told(capsys, "elsewhere/plan.toml"))) == 2
    assert "  rows      30\n" in told(capsys, "show", "tiny/rows.svm")


@pytest.mark.usefixtures("here")
def test_one_that_cannot_be_fetched_keeps_none_of_the_others_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network one call names all files that are to be copied."""
    with serving() as web:
        web.pages["/there"] = Page(b"1 1:1\n")
        for name in ("absent", "there", "gone"):
            one = DataSet(name, "tiny", (Remote(name),), 1, 0, 1, 1, "none", "", (web.url,))
            monkeypatch.setitem(CATALOGUE, name, one)
        monkeypatch.setattr(DataSet, "kind", "libsvm")
        assert command_alone("data", "fetch", "absent", "there", "gone") == 2
    said = capsys.readouterr()
    assert 'path = "tiny/there"' in said.out
    for name in ("absent", "gone"):
        assert re.search(rf"^(mpirobust: )?{name} cannot be fetched$", said.err, re.MULTILINE)


# Of each kind: the arguments, and what the lines of a plan have besides kind and path.
FILES: dict[str, tuple[str, dict[str, object]]] = {
    "libsvm": ("rows.svm", {}),
    "csv": ("rows.csv", {"label": "class"}),
    "npz": ("rows.npz", {"test": "rows.npz", "X_test": "test_X", "y_test": "test_y"}),
    "npy": ("X.npy", {"y": "y.npy", "split": 0.5, "targets": "real"}),
    "mnist": ("mnist/train-images-idx3-ubyte.gz", {}),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_every_kind_is_prepared_and_shown(kind: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, keys = FILES[kind]
    sets = [word for key, value in keys.items() for word in ("--set", f"data.{key}={value}")]
    said = told(capsys, "prepare", path, *sets)
    lines = said[said.index("[data]") :]
    table = tomllib.loads(lines)["data"]
    place = here / (Path(path).parent if kind == "mnist" else path)
    assert table == {"kind": kind, "path": str(place), **keys}

    problem = "network" if kind != "npy" else "least-squares"
    hidden = "problem.hidden = []\n" if kind != "npy" else ""
    (here / "other.toml").write_text(PLAN.replace("logistic", problem) + hidden + lines)
    assert stores(told(capsys, "other.toml")) == stores(said)

    shown = told(capsys, "show", path, *sets)
    assert stores(shown) == stores(said)
    assert "  rows      30\n" in shown
    for store in stores(said):
        assert told(capsys, "show", store) in shown
        assert stores(told(capsys, "prepare", store)) == [store]


def test_the_content_is_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "few.svm").write_text("1 1:2 3:0\n-1 2:1\n1\n0.5 4:1\n")
    said = told(capsys, "show", "few.svm")
    assert "  features  4, kept sparse\n  nonzero   3 of 16 (18.8 %)\n" in said
    assert "  labels    3 distinct: -1 (1), 0.5 (1), 1 (2)\n" in said
    assert f"  source    {here / 'few.svm'}\n" in said
    np.savez(here / "few.npz", X=np.eye(30, 2), y=np.linspace(-1, 1, 30))
    said = told(capsys, "show", "few.npz")
    assert "  features  2, kept dense\n  nonzero   2 of 60 (3.33 %)\n" in said
    assert "  labels    30 distinct, from -1 to 1\n" in said


def test_a_file_below_the_folder_of_data_has_its_short_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "data" / "mine").mkdir(parents=True)
    (here / "rows.svm").rename(here / "data" / "mine" / "rows")
    (here / "mnist").rename(here / "data" / "mine" / "digits")
    for name in ("mine/rows", "mine/digits"):
        for given in (name, str(here / "data" / name)):
            assert f'path = "{name}"' in told(capsys, "prepare", given)


REFUSED = {
    "absent": (["absent.svm"], r"PATH: no file 'absent.svm'; looked for /"),
    "a data set": (["a9a"], r"; the files of this data set are libsvm/a9a, libsvm/a9a.t$"),
    "in the catalogue": (["libsvm/ijcnn1.bz2"], r"; mpirobust data fetch ijcnn1 gets it$"),
    "unknown content": (["prose"], r"prose: no kind of data file is known by its first lines"),
    "unknown kind": (["rows.svm", "--kind", "parquet"], r"data.kind: unknown kind 'parquet'; choose one of"),
    "another kind": (["rows.svm", "--kind", "npz"], r"rows.svm: not a whole npz file"),
    "a key is missing": (["rows.csv"], r"data.label: missing; .*\(--set data.label=VALUE\)"),
    "a key is unknown": (["rows.svm", "--set", "data.labl=1"], r"data.labl: unknown key"),
    "of another table": (["rows.svm", "--set", "problem.l2=1"], r"problem: only the keys of \[data\] can be set here"),
    "without a value": (["rows.svm", "--set", "data.split"], r"expected key=value"),
}


@pytest.mark.parametrize("command", ["prepare", "show"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_message(case: str, command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "prose").write_text("It was a dark\nand stormy night\n")
    arguments, message = REFUSED[case]
    said = refused(capsys, command, *arguments)
    assert re.search(message, said.strip()), said
    assert said.count("\n") == 1
