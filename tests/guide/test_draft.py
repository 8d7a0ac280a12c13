"""`mpirobust new` writes plans that are accepted at once, of every pair of kinds that go together."""

from __future__ import annotations

import gzip
import re
import tomllib
from contextlib import closing
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mpirobust import catalog
from mpirobust.data.sources.base import Places
from mpirobust.errors import Exit, PlanFault
from mpirobust.guide.draft import CHOICES, draft
from mpirobust.guide.keys import rooms
from mpirobust.plan import Plan, load_plan
from tests.support.alone import command_alone
from tests.support.data_files import idx
from tests.support.rows import write_rows


def _known(table: str) -> list[str]:
    """Return the kinds of a table; one that needs a package which is not installed is no kind here."""
    room = rooms()[table]
    return [kind for kind in catalog.kinds(room) if not catalog.missing_package(catalog.load(room, kind, table))]


_KINDS = [(table, kind) for table in CHOICES for kind in _known(table)]

_ESCAPING = ("byzantine-pgd", "perturbed-gd")  # they jump, and some of their rounds are without a step
_APART = {
    ("algorithm", "downlink"): {(kind, code) for kind in _ESCAPING for code in _known("downlink")},
    ("algorithm", "feedback"): {(kind, "residual") for kind in _ESCAPING},
}


@pytest.mark.parametrize(("one", "other"), [*combinations(CHOICES, 2)])
def test_every_pair_of_kinds_that_go_together_makes_a_plan(one: str, other: str) -> None:
    """The only test that tries them all: 28 pairs of tables, some 2,500 plans, in 20 s or so."""
    apart = set()
    for kind in _known(one):
        for second in _known(other):
            try:
                Plan.of(tomllib.loads(draft({one: kind, other: second})))
            except PlanFault:
                apart.add((kind, second))
    assert apart == _APART.get((one, other), set())


@pytest.mark.parametrize(("table", "kind"), _KINDS)
def test_the_defaults_that_it_shows_are_those(table: str, kind: str) -> None:
    text = draft({table: kind})
    said = re.sub(r"(?m)^# (\w+ = [^# \n])", r"\1", text)
    assert said.count("\n# ") < text.count("\n# ")
    assert Plan.of(tomllib.loads(said)).table() == Plan.of(tomllib.loads(text)).table()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files that a new plan guesses: rows with 123 numbers and two classes, and images."""
    monkeypatch.setenv("MPIROBUST_DATA", str(tmp_path))
    monkeypatch.setenv("MPIROBUST_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((60, 123)), np.arange(60) % 2
    (tmp_path / "libsvm").mkdir()
    write_rows(tmp_path / "libsvm" / "a9a", rows=60, features=123)
    np.savetxt(tmp_path / "rows.csv", np.column_stack((X, y)), delimiter=",")
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    (tmp_path / "mnist").mkdir()
    for part in ("train", "t10k"):
        images, labels = rng.integers(256, size=(60, 8, 8), dtype=np.uint8), np.arange(60, dtype=np.uint8) % 10
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return tmp_path


@pytest.mark.parametrize(("table", "kind"), _KINDS)
def test_a_plan_of_every_kind_fits_its_data(table: str, kind: str, files: Path) -> None:
    (files / "plan.toml").write_text(draft({table: kind}, beside=files))
    plan, notes = load_plan(files / "plan.toml", [])
    with closing(plan.data.open(plan.data.prepare(Places.for_plan(files / "plan.toml")), plan.seed)) as dataset:
        assert len(plan.deal(dataset)) == 20
    assert notes == []


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        ["--problem", "logistic", "--algorithm", "cubic-newton"],
        ["--problem", "saddle", "--algorithm", "perturbed-gd", "--attack", "saddle-point", "--set", "workers=12"],
        ["--aggregator", "nnm", "--attack", "alie", "--feedback", "residual", "--downlink", "uniform"],
    ],
)
def test_check_accepts_it_at_once(kinds: list[str], files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(files / "sub" / "plan.toml")
    assert command_alone("new", *kinds, "--out", plan) == Exit.OK
    assert command_alone("check", plan) == Exit.OK
    assert "a sound plan" in capsys.readouterr().out


def test_what_is_chosen_and_guessed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("new", "--problem", "logistic", "--set", "algorithm.rounds=7") == Exit.OK
    said = capsys.readouterr().out
    assert re.search(r'kind = "logistic" .*\n# others: double-well,', said)
    assert re.search(r'kind = "libsvm" .*\n# chosen for you; others: csv, mnist,', said)
    assert re.search(r"step = 1\.0 .*\(guess\)\n", said)
    assert re.search(r"rounds = 7 +# rounds of communication\n", said)
    assert "# [attack] " in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--problem", "logistik"], "problem.kind: unknown kind 'logistik'; choose one of"),
        (["--attack", "none"], "attack.kind: unknown kind 'none'; for honest workers leave out [attack]"),
        (["--algorithm", "byzantine-pgd", "--feedback", "residual"], "feedback: what workers send"),
        (["--set", "algorithm.stp=1"], "algorithm.stp: unknown key"),
        (["--out", "there.toml"], "there.toml exists already; choose another --out"),
        (["--out", "there.toml/plan.toml"], "cannot write there.toml/plan.toml"),
    ],
)
def test_what_makes_no_plan(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.toml").write_text("mine")
    assert command_alone("new", *arguments) in (Exit.SETUP, Exit.STORAGE)
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert reason in said.err
    assert Path("there.toml").read_text() == "mine"
