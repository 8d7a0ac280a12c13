"""What is committed of a study is compared with its runs: every difference is said, and nothing is run unasked."""

from __future__ import annotations

import csv
import shlex
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from mpirobust import meter
from mpirobust.errors import Exit
from mpirobust.files import write_table
from mpirobust.studies import figures, matrix, sampling
from mpirobust.studies.campaign import job
from tests.support.alone import command_alone
from tests.support.small_studies import FAMILY, SAMPLING, lay_out

Captured: TypeAlias = pytest.CaptureFixture[str]

# Only one panel has a test set, and the claim on it is judged there alone.
TWO_SETS = FAMILY.replace(
    "[[curves]]",
    """[[panels]]
label = "narrow"
[[panels]]
label = "wide"
set = ["data.features=9", "data.test_rows=50", 'audit.metrics=["test_loss"]']
[[curves]]""",
    1,
).replace(
    'says = "trimming helps"\n[[claims.cases]]',
    'says = "trimming helps"\npanels = ["wide"]\n[[claims.cases]]\nmetric = "test_loss"',
)

ONE_CELL = """
title = "a matrix"
plan = "plan.toml"
metric = "distance"
seeds = [1, 2]
set = ["algorithm.rounds=6"]
attacks = [{ label = "noise" }]
rules = [{ label = "trim" }]
codes = [{ label = "one bit" }]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a study of two data sets, its runs and its tables, made once, with one of three seeds."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "draw_bands", lambda *_: None)  # pictures take longer than the runs
        patch.setattr(sampling, "draw_bands", lambda *_: None)
        patch.setattr(matrix, "draw_heatmaps", lambda *_: None)
        families = lay_out(folder / "study", TWO_SETS)
        (families / "robustness.toml").write_text(ONE_CELL)
        (families / "sampling-1.toml").write_text(SAMPLING)
        assert command_alone(*command(families, folder), "--seeds", "1") == 0
        yield folder


def command(families: Path, folder: Path) -> list[str]:
    return ["figures", str(families), "--out", str(folder / "out"), "--runs", str(folder / "runs")]


@pytest.fixture
def copied(study: Path, tmp_path: Path) -> Path:
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    return tmp_path


def checked(folder: Path, *more: str) -> int:
    return command_alone(*command(folder / "study", folder), "--check", *more)


def test_what_agrees_is_said_and_nothing_is_run(copied: Path, capsys: Captured) -> None:
    """The other seeds of the family are neither committed nor missed."""
    assert checked(copied) == Exit.OK
    assert capsys.readouterr().out == f"{copied / 'out'} agrees with its 7 runs\n"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--seeds=1", "plans plans runs claims runs origins origins drawing runs"),
        ("--check", "plans plans runs runs"),
    ],
)
def test_what_takes_long_tells_how_far_it_is(
    option: str, told: str, copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(meter, "monotonic", count(0.0, 3.0).__next__)  # seconds between two looks at it
    assert command_alone(*command(copied / "study", copied), option) == Exit.OK
    said = capsys.readouterr()
    begun = [line.removesuffix(": 0 %") for line in said.err.splitlines() if line.endswith(": 0 %")]
    assert " ".join(what.rpartition(" ")[2] for what in begun) == told  # of a figure and of a matrix
    written = f"wrote {copied / 'out'}: values.csv, claims.md, origin.csv, and 3 pictures as .png and .pdf\n"
    assert said.out == (f"{copied / 'out'} agrees with its 7 runs\n" if option == "--check" else written)


def test_every_data_set_has_its_own_verdicts(study: Path) -> None:
    _, narrow, wide = (study / "out" / "claims.md").read_text().split("\n### a family, ")
    assert (narrow.split()[0], wide.split()[0]) == ("narrow", "wide")
    assert [text.count("| trimming helps |") for text in (narrow, wide)] == [0, 1]
    assert [text.count("| averaging helps |") for text in (narrow, wide)] == [1, 1]
    assert "d = 6, 8 rounds, seed 1" in narrow
    assert "d = 9, 8 rounds, seed 1" in wide
    assert "d = 9" not in narrow


def test_the_keys_of_a_row_repeat_its_run(study: Path) -> None:
    with (study / "out" / "values.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any("'" in row["set"] for row in rows)  # a key that a shell would take apart
    for row in rows:
        assert job(study / "study" / row["plan"], shlex.split(row["set"]), study).folder.name == row["run"]


def test_runs_on_other_kernels_are_compared_by_plan_and_verdict(copied: Path, capsys: Captured) -> None:
    claims = copied / "out" / "claims.md"
    for name, column, changed in (("values.csv", "final", 2), ("robustness.csv", "distance", 1)):
        with (copied / "out" / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows[:changed]:
            row.update({"blas": "another 1.0 core", column: "7.0"})
        write_table(copied / "out" / name, rows)
    judged = claims.read_text()
    claim = next(line for line in judged.splitlines() if line.startswith("| trimming helps"))
    claims.write_text(judged.replace(claim, "|".join([*claim.split("|")[:3], " 7 of other numbers |"])))
    assert checked(copied) == Exit.OK
    said = capsys.readouterr()
    assert said.out == f"{copied / 'out'} agrees with its 7 runs\n"
    notes = [line for line in said.err.splitlines() if line.startswith("note: ")]
    assert [note.split(": ")[1] for note in notes] == ["figure-1", "figure-1", "robustness"]
    assert [" other numbers" in note for note in notes] == [True] * 3

    claims.write_text(judged.replace("| trimming helps | **", "| trimming helps | **never "))
    assert checked(copied) == Exit.SETUP
    said = capsys.readouterr()
    assert "**never " in said.err
    assert "does not agree with the runs: 1 difference" in said.err
    assert said.err.count("note: ") == 2


def test_all_differences_are_said(copied: Path, capsys: Captured) -> None:
    values, claims = copied / "out" / "values.csv", copied / "out" / "claims.md"
    head, one, two, *rest = values.read_text().splitlines(keepends=True)
    values.write_text(
        "".join([head, one.replace("finished", "converged"), two, *rest, two.replace("figure-1", "figure-9")])
    )
    samples = copied / "out" / "sampling-1.csv"
    samples.write_text(samples.read_text().replace("plan,1,12,", "plan,1,12,9"))
    grid = copied / "out" / "robustness.csv"
    grid.write_text(grid.read_text().replace("one bit,trim,noise,1,", "one bit,trim,noise,1,9"))
    claims.write_text(claims.read_text().replace("**does not hold**", "**holds**"))
    assert checked(copied) == Exit.SETUP
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 7
    assert "status is 'converged', and 'finished' by the run" in told[0]
    assert "figure-1: claims.md says '| averaging helps | **holds** |" in told[1]
    assert "figure-1: claims.md says '| averaging helps | **holds** |" in told[2]  # in the other panel
    assert "has a figure 'figure-9', and there is no such family" in told[3]
    assert told[4].startswith("sampling-1, plan, 1, 12: eps_g is '9")
    assert told[5].startswith("robustness, one bit, trim, noise, 1: distance is '9")
    assert told[6] == f"{copied / 'out'} does not agree with the runs: 6 differences"


def test_a_missing_run_is_named_and_run_if_asked(copied: Path, capsys: Captured) -> None:
    gone = sorted((copied / "runs").iterdir())[0]
    shutil.rmtree(gone)
    assert checked(copied) == Exit.SETUP
    told = capsys.readouterr().err
    assert f"figure-1: no finished run in {gone}\n" in told
    assert "the runs: 1 difference\n" in told
    assert not gone.exists()
    assert checked(copied, "--run-missing") == Exit.OK
    assert gone.exists()


@pytest.mark.parametrize("file", ["values.csv", "claims.md", "sampling-1.csv", "robustness.csv"])
def test_a_table_that_is_not_there_is_one_difference_among_others(file: str, copied: Path, capsys: Captured) -> None:
    (copied / "out" / file).unlink()
    other = copied / "out" / ("claims.md" if file == "values.csv" else "values.csv")
    other.write_text(other.read_text().replace("does not hold", "holds").replace("finished", "converged", 1))
    assert checked(copied) == Exit.SETUP
    told = capsys.readouterr().err
    assert told.count(f"{copied / 'out' / file}: cannot be read") == 1
    assert "the runs: 2 differences\n" in told or file == "values.csv"  # without which no seeds are known


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# What was", "So good!\n# What was", "the beginning: its section in claims.md has 3 lines, and 2"),
        ("A claim also", "No claim", "the beginning: claims.md says 'Every claim is judged"),
        ("\n## samples\n", "\n## more\nall is well\n\n## samples\n", "has a section 'more' too many"),
        ("\n## a family\n", "\n## samples\nall is well\n\n## a family\n", "has a section 'samples' too many"),
    ],
)
def test_text_of_no_family_is_said(old: str, new: str, said: str, copied: Path, capsys: Captured) -> None:
    claims = copied / "out" / "claims.md"
    assert claims.read_text().count(old) == 1
    claims.write_text(claims.read_text().replace(old, new))
    assert checked(copied) == Exit.SETUP
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sampling-2.csv", "robustness-more.csv"])
def test_a_table_of_no_family_is_said(name: str, copied: Path, capsys: Captured) -> None:
    shutil.copy(copied / "out" / "robustness.csv", copied / "out" / name)
    assert checked(copied) == Exit.SETUP
    told = capsys.readouterr().err.splitlines()
    assert told[:-1] == [f"{copied / 'out' / name}: there is no such family"]


def test_more_seeds_than_the_tables_have(copied: Path, capsys: Captured) -> None:
    assert checked(copied, "--seeds", "1") == Exit.OK
    assert checked(copied, "--seeds", "2", "--run-missing") == Exit.SETUP
    assert capsys.readouterr().err == f"mpirobust: --seeds 2: the tables in {copied / 'out'} have 1 seed\n"


def test_missing_runs_are_for_a_check(copied: Path, capsys: Captured) -> None:
    assert command_alone(*command(copied / "study", copied), "--run-missing") == Exit.SETUP
    said = "mpirobust: --run-missing is for --check; without it, what is missing is always run\n"
    assert capsys.readouterr().err == said


def test_other_keys_are_other_runs(copied: Path, capsys: Captured) -> None:
    assert checked(copied, "--set", "algorithm.rounds=4") == Exit.SETUP
    assert capsys.readouterr().err.count("no finished run in") == 7
