"""Figures and the matrix, as a user makes them: run once, reused afterwards, drawn from the traces."""

from __future__ import annotations

import csv
import shutil
import signal
import sys
from pathlib import Path
from typing import TypeAlias

import pytest

from mpirobust.errors import Exit
from mpirobust.studies import figures, races
from mpirobust.studies.campaign import Job
from mpirobust.studies.family import Family, Race, Variant
from tests.support.alone import command_alone, run_alone
from tests.support.launching import finish, mpirobust, start, until
from tests.support.small_studies import FAMILY, SAMPLING, lay_out

Captured: TypeAlias = pytest.CaptureFixture[str]


def made(folder: Path, *more: str) -> list[str]:
    """Make the figures, in this process, and return the names of the runs that are there afterwards."""
    assert command_alone(*command(folder), *more) == 0
    return sorted(path.name for path in (folder.parent / "runs").iterdir())


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take longer than the runs."""
    monkeypatch.setattr(figures, "draw_bands", lambda *_: None)


def command(folder: Path) -> list[str]:
    return ["figures", str(folder), "--out", str(folder.parent / "out"), "--runs", str(folder.parent / "runs")]


@pytest.mark.parametrize("ranks", [None, 3])
def test_runs_draws_and_judges(ranks: int | None, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "study")
    done = mpirobust(*command(folder), ranks=ranks)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("[9/9] figure-1, hasty: algorithm.rounds=8 algorithm.step=1e200 seed=3") == 1
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(runs) == 9
    assert not list((tmp_path / "runs").rglob("checkpoint-*"))
    out = tmp_path / "out"
    assert (out / "figure-1.png").read_bytes()[1:4] == b"PNG"
    assert (out / "figure-1.pdf").read_bytes()[:4] == b"%PDF"
    claims = (out / "claims.md").read_text()
    assert "| trimming helps | **holds** |" in claims
    assert "| any step will do | **holds only if: the step is short** |" in claims
    assert "| averaging helps | **does not hold** |" in claims
    judged = "(0 of 3 seeds, 0% to 71%; regression with 120 rows, m = 10, d = 6, 8 rounds, seeds 1-3)"
    assert f"the step is long: divergence against at most 1000 {judged}" in claims
    with (out / "values.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["curve"], row["seed"]) for row in rows[:4]] == [
        ("trimmed", "1"),
        ("trimmed", "2"),
        ("trimmed", "3"),
        ("averaged", "1"),
    ]
    assert {row["status"] for row in rows if row["curve"] == "hasty"} == {"diverged"}
    assert sorted(row["run"] for row in rows) == runs
    with (out / "origin.csv").open() as file:
        (origin,) = csv.DictReader(file)
    assert (origin["study"], origin["runs"], origin["ranks"]) == ("figure-1", "9", str(ranks or 1))
    assert float(origin["hours"]) == pytest.approx(sum(float(row["seconds"]) for row in rows) / 3600, abs=0.0005)
    assert all(origin[fact] for fact in ("commit", "processor", "kernels", "threads"))


@pytest.mark.usefixtures("undrawn")
def test_what_is_there_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = lay_out(tmp_path / "study")
    runs = made(folder, "--seeds", "2")
    assert "[6/6]" in capsys.readouterr().err
    before = {name: (tmp_path / "runs" / name / "run.h5").stat().st_mtime_ns for name in runs}
    shutil.rmtree(tmp_path / "runs" / runs[0])
    made(folder, "--seeds", "2")
    assert "[1/1]" in capsys.readouterr().err
    more = made(folder)
    assert "[3/3]" in capsys.readouterr().err
    for name in runs[1:]:
        assert (tmp_path / "runs" / name / "run.h5").stat().st_mtime_ns == before[name]
    (folder / "figure-1.toml").write_text(FAMILY.replace("step=1e200", "step=1e199"))  # another plan, other runs
    most = made(folder)
    assert "[3/3]" in capsys.readouterr().err
    assert len(most) == len(more) + 3


@pytest.mark.usefixtures("undrawn")
def test_a_key_that_is_set_holds_for_every_plan(tmp_path: Path, capsys: Captured) -> None:
    """It comes after the keys of the family and of the curve."""
    folder = lay_out(tmp_path / "study")
    short = made(folder, "--seeds", "1", "--set", "algorithm.rounds=9", "--set", "algorithm.step=0.05")
    assert len(short) == 2  # what two of the three curves differ in is set
    with (tmp_path / "out" / "values.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["rounds"] for row in rows} == {"9"}
    assert rows[2]["set"] == "algorithm.rounds=8 algorithm.step=1e200 algorithm.rounds=9 algorithm.step=0.05 seed=1"
    assert rows[2]["run"] == rows[0]["run"]
    capsys.readouterr()
    assert len(made(folder, "--seeds", "1")) == 5
    assert len(made(folder, "--seeds", "1", "--set", "algorithm.rounds=8")) == 5  # as the family says


@pytest.mark.mpi
def test_the_same_figures_on_any_number_of_ranks(tmp_path: Path) -> None:
    finals = []
    for ranks in (None, 4):
        (tmp_path / f"on-{ranks}").mkdir()
        folder = lay_out(tmp_path / f"on-{ranks}" / "study")
        done = mpirobust(*command(folder), "--seeds", "1", ranks=ranks)
        assert done.returncode == 0, done.stderr
        with (folder.parent / "out" / "values.csv").open() as file:
            finals.append([(row["run"], row["final"], row["bytes_up"]) for row in csv.DictReader(file)])
    assert finals[0] == finals[1]


@pytest.mark.usefixtures("undrawn")
def test_a_signal_ends_it_and_the_same_command_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "cut").mkdir()
    calm, cut = lay_out(tmp_path / "calm" / "study"), lay_out(tmp_path / "cut" / "study")
    made(calm)
    out = tmp_path / "cut" / "out"
    process = start("-m", "mpirobust", *command(cut), ranks=None)
    until(lambda: len(list((tmp_path / "cut" / "runs").glob("*"))) > 1, 60, lambda: "no second run")
    process.send_signal(signal.SIGUSR1)
    done = finish(process, 60)
    assert done.returncode == 75, done.stderr
    assert "interrupted: the same command goes on" in done.stderr
    assert not out.exists()
    capsys.readouterr()
    assert len(made(cut)) == 9
    assert "[9/9]" not in capsys.readouterr().err  # one was done at the least
    assert (out / "claims.md").read_text() == (tmp_path / "calm" / "out" / "claims.md").read_text()


@pytest.mark.mpi
def test_the_matrix_has_the_worst_case_last(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "study")
    out = tmp_path / "out"
    command = ["matrix", str(folder / "grid.toml"), "--out", str(out), "--runs", str(tmp_path / "runs")]
    done = mpirobust(*command, ranks=3)
    assert done.returncode == 0, done.stderr
    assert "[16/16] grid, none, mean, noise: algorithm.rounds=6 compressor.kind=identity" in done.stderr
    names = ("grid.csv", "grid.md", "grid-origin.csv", "grid.png", "grid.pdf")
    assert done.stdout.splitlines()[1:] == [f"wrote {out / name}" for name in names]
    assert (out / "grid.png").read_bytes()[1:4] == b"PNG"
    with (out / "grid.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    far = [float(row["distance"]) for row in rows if (row["rule"], row["attack"]) == ("mean", "noise")]
    near = [float(row["distance"]) for row in rows if (row["rule"], row["attack"]) == ("trim", "noise")]
    assert max(near) < min(far)


def study(command: str, folder: Path) -> list[str]:
    return [command, *{"figures": [str(folder), "--seeds", "1"], "matrix": [str(folder / "grid.toml")]}[command]]


@pytest.mark.parametrize("command", ["figures", "matrix"])
@pytest.mark.parametrize(("lacking", "code"), [("matplotlib", Exit.SETUP), ("folder", Exit.STORAGE)])
def test_what_cannot_be_drawn_is_known_before_the_first_run(
    lacking: str, code: int, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    out = tmp_path / "out"
    if lacking == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    else:
        out.write_text("a file where the folder should be")
    arguments = study(command, lay_out(tmp_path / "study"))
    assert command_alone(*arguments, "--out", str(out), "--runs", str(tmp_path / "runs")) == code
    assert not (tmp_path / "runs").exists()
    said = capsys.readouterr().err
    assert said.count("mpirobust: ") == said.count("\n") == 1
    assert ("pip install '.[plot]'" if lacking == "matplotlib" else f"cannot write to {out}") in said


@pytest.mark.parametrize(
    ("command", "tables"),
    [
        ("figures", ["claims.md", "origin.csv", "robustness.csv", "sampling-1.csv", "values.csv"]),
        ("matrix", ["grid-origin.csv", "grid.csv", "grid.md"]),
    ],
)
def test_the_tables_are_written_whether_or_not_it_can_be_drawn(
    command: str, tables: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ValueError("no such font")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", failing)
    folder = lay_out(tmp_path / "study")
    (folder / "sampling-1.toml").write_text(SAMPLING)
    shutil.copy(folder / "grid.toml", folder / "robustness.toml")
    arguments = study(command, folder)
    out = tmp_path / "out"
    assert command_alone(*arguments, "--out", str(out), "--runs", str(tmp_path / "runs")) == Exit.STORAGE
    assert sorted(path.name for path in out.iterdir()) == tables
    assert capsys.readouterr().err.count("mpirobust: cannot draw: ValueError: no such font") == 1


def test_a_matrix_whose_title_cannot_be_drawn_has_its_tables(tmp_path: Path, capsys: Captured) -> None:
    folder, out = lay_out(tmp_path / "study"), tmp_path / "out"
    grid = folder / "grid.toml"
    title = next(line for line in grid.read_text().splitlines() if line.startswith("title = "))
    grid.write_text(grid.read_text().replace(title, "title = '$\\foo{$'"))
    asked = ["--seeds", "1", "--out", str(out), "--runs", str(tmp_path / "runs")]
    assert command_alone("matrix", str(grid), *asked) == Exit.STORAGE
    assert "mpirobust: cannot draw: ValueError: " in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["grid-origin.csv", "grid.csv", "grid.md"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"plan.toml"', '"plam.toml"', "no such plan"),
        ("[3, 12]", "[3, 13]", "samples of 13 rows, where a worker has 12"),
    ],
)
@pytest.mark.parametrize("option", [(), ("--check", "--run-missing")])
def test_samples_that_cannot_be_drawn_are_known_before_the_first_run(
    option: list[str], old: str, new: str, said: str, tmp_path: Path, capsys: Captured
) -> None:
    folder = lay_out(tmp_path / "study")
    (folder / "sampling-1.toml").write_text(SAMPLING.replace(old, new))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sampling-1.csv").write_text("figure,data,seed,rows,eps_g\nsampling-1,plan,1,3,0.5\n")
    assert command_alone(*command(folder), *option) == Exit.SETUP
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "qtagg"])
def test_it_is_drawn_whatever_backend_the_environment_names(backend: str, tmp_path: Path) -> None:
    """In a process of its own: matplotlib reads this variable when it is first imported."""
    run = run_alone(lay_out(tmp_path / "study") / "plan.toml", tmp_path / "run")
    done = mpirobust("report", str(run), "--out", str(tmp_path / "x.PNG"), env={"MPLBACKEND": backend})
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.PNG").read_bytes()[1:4] == b"PNG"


def test_a_folder_without_figures(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = mpirobust("figures", str(tmp_path / "nothing"))
    assert (done.returncode, done.stderr) == (2, f"mpirobust: there are no figure-*.toml in {tmp_path / 'nothing'}\n")


def test_the_runs_of_a_race_are_those_of_its_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(_: Race, runs: list[Path], others: list[Path], __: str) -> str:
        asked.append((runs, others))
        return ""

    monkeypatch.setattr(figures, "_outcome", lambda *_: None)
    monkeypatch.setattr(figures, "_setting", lambda *_: "")
    monkeypatch.setattr(races, "row", noted)
    curves = (Variant(label="ours"), Variant(label="theirs"))
    race = Race(when="noise", curve="ours", against="theirs", bound=1.0)
    family = Family(title="a race", plan="", metric="loss", seeds=(1,), curves=curves, races=(race,))
    jobs = {label: [Job(Path(), (), 1, Path(label))] for label in ("theirs", "ours")}
    figures.section(figures.Figure("figure-1", family, (1,), (figures.Panel("", jobs),)))
    assert asked == [([Path("ours")], [Path("theirs")])]
