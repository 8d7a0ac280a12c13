"""What is committed of a study is compared with its runs: every difference is said, and nothing is run unasked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpirobust.errors import Exit
from mpirobust.studies import figures
from mpirobust.studies.comparison import _reads_as
from tests.support.alone import command_alone
from tests.support.small_studies import FAMILY, lay_out

TWO_SETS = FAMILY.replace(
    "[[curves]]",
    """[[data]]
label = "narrow"
[[data]]
label = "wide"
set = ["data.features=9"]
[[curves]]""",
    1,
).replace('says = "trimming helps"', 'says = "trimming helps"\ndata = ["wide"]')


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a study of two data sets, its runs and its tables, made once, with two of three seeds."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "draw_bands", lambda *_: None)  # pictures take longer than the runs
        assert command_alone(*command(lay_out(folder / "study", TWO_SETS), folder), "--seeds", "2") == 0
        yield folder


def command(families: Path, folder: Path) -> list[str]:
    return ["figures", str(families), "--out", str(folder / "out"), "--runs", str(folder / "runs")]


@pytest.fixture
def copied(study: Path, tmp_path: Path) -> Path:
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    return tmp_path


def checked(folder: Path, *more: str) -> int:
    return command_alone(*command(folder / "study", folder), "--check", *more)


def test_what_agrees_is_said_and_nothing_is_run(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The third seed of the family is neither committed nor missed."""
    assert checked(copied) == Exit.OK
    assert capsys.readouterr().out == f"{copied / 'out'} agrees with its 12 runs\n"


def test_every_data_set_has_its_own_verdicts(study: Path) -> None:
    _, narrow, wide = (study / "out" / "claims.md").read_text().split("\n### a family, on ")
    assert (narrow.split()[0], wide.split()[0]) == ("narrow", "wide")
    assert [text.count("| trimming helps |") for text in (narrow, wide)] == [0, 1]
    assert [text.count("| averaging helps |") for text in (narrow, wide)] == [1, 1]
    assert "d = 6, 8 rounds, seeds 1-2" in narrow
    assert "d = 9, 8 rounds, seeds 1-2" in wide
    assert "d = 9" not in narrow


# of which file, the text that is replaced by which (in the first line that has the third), what is said
CHANGED = {
    "status": ("values.csv", "finished", "converged", "trimmed,1,", "status is 'converged' in values.csv, and 'fini"),
    "bytes": ("values.csv", ",400,", ",401,", "trimmed,1,", "bytes_up is '401' in values.csv, and '400' by the run"),
    "final": ("values.csv", "distance,1.", "distance,1.0", "trimmed,1,", "final is '1.0"),
    "final-word": ("values.csv", "distance,1.", "distance,nearly 1.", "trimmed,1,", "final is 'nearly"),
    "kept": ("values.csv", "0.0,", "0.0,f", "trimmed,1,", "kept is 'f"),
    "byzantine-kept": ("values.csv", "0.0,", "0.5,", "trimmed,1,", "byzantine_kept is '0.5'"),
    "overrides": ("values.csv", "seed=1", "seed=01", "trimmed,1,", "set is 'algorithm.rounds=8 seed=01'"),
    "another-curve": ("values.csv", "trimmed,1,", "trimed,1,", "trimmed,1,", "has a row that no run of the families"),
    "no-such-row": ("values.csv", "trimmed,1,", "trimed,1,", "trimmed,1,", "values.csv has no such row"),
    "another-figure": ("values.csv", "figure-1", "figure-9", "trimmed,1,", "figure 'figure-9', and there is no such"),
    "verdict": ("claims.md", "not hold", "hold", "averaging helps", "does not hold**"),
    "count": ("claims.md", "(0 of 2", "(1 of 2", "averaging helps", "figure-1: claims.md says"),
    "interval": ("claims.md", "84%", "80%", "averaging helps", "0% to 84%"),
    "median": ("claims.md", "against 0.5", "against 0.6", "averaging helps", "against 0.6 times"),
    "line": ("claims.md", "| averaging helps", "\n| averaging helps", "nothing", ""),
    "title": ("claims.md", "## a family", "## the family", "## a family", "its section in claims.md has 0 lines"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_difference_is_said(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, old, new, where, said = CHANGED[name]
    path = copied / "out" / file
    lines = path.read_text().splitlines(keepends=True)
    at = next((at for at, line in enumerate(lines) if where in line), None)
    if at is not None:
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new, 1)
    else:
        lines.append("| another claim | **holds** | always |\n")
    path.write_text("".join(lines))
    assert checked(copied) == Exit.SETUP
    told = capsys.readouterr().err
    assert said in told
    assert f"{copied / 'out'} does not agree with the runs: " in told


def test_a_rounding_and_other_seconds_are_no_difference(copied: Path) -> None:
    path = copied / "out" / "values.csv"
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    final, seconds = head.index("final"), head.index("seconds")
    for row in rows:
        row[final], row[seconds] = repr(float(row[final]) * (1 + 1e-12)), "1e9"
    path.write_text("\n".join(",".join(row) for row in [head, *rows]))
    assert checked(copied) == Exit.OK


def test_a_missing_run_is_named_and_run_if_asked(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = sorted((copied / "runs").iterdir())[0]
    shutil.rmtree(gone)
    assert checked(copied) == Exit.SETUP
    told = capsys.readouterr().err
    assert f"figure-1: no finished run in {gone}\n" in told
    assert "1 differences" in told
    assert not gone.exists()
    assert checked(copied, "--run-missing") == Exit.OK
    assert gone.exists()


@pytest.mark.parametrize("file", ["values.csv", "claims.md"])
def test_a_table_that_is_not_there(file: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "out" / file).unlink()
    assert checked(copied) == Exit.SETUP
    assert f"{copied / 'out' / file}: cannot be read" in capsys.readouterr().err


def test_other_keys_are_other_runs(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(copied, "--set", "algorithm.rounds=4") == Exit.SETUP
    assert capsys.readouterr().err.count("no finished run in") == 12


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.05197 of 20 seeds", "0.05196 of 20 seeds", True),
        ("0.05197 of 20 seeds", "0.05297 of 20 seeds", False),
        ("9 of 20 seeds", "10 of 20 seeds", False),
        ("1000 rounds", "1001 rounds", False),
        ("1.234e-05", "1.235e-05", True),
        ("divergence", "1.2", False),
        ("5 at most", "5.001 at most", True),
    ],
)
def test_counts_are_exact_and_measurements_are_rounded(one: str, other: str, same: bool) -> None:
    assert _reads_as(one, other) is same
