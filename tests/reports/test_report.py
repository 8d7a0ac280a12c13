"""`mpirobust report`: the files that it writes, what it says of them and of the curves, and what it refuses."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust import meter
from mpirobust.reports import bands
from mpirobust.reports.curves import figure
from tests.support.alone import command_alone
from tests.support.small_traces import write_trace


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Two rules, two seeds each; the seeds of the first rule are equal."""
    made = [
        write_trace(tmp_path / f"{kind}-{seed}", [8.0, 4.0 + seed * step, 0.5], seed=seed, aggregator={"kind": kind})
        for kind, step in (("mean", 0.0), ("median", 1.0))
        for seed in (1, 2)
    ]
    return [*map(str, made)]


def lines_drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return where the lines of the next figure are noted, by their labels."""
    found: dict[str, Any] = {}

    @contextmanager
    def noted(*arguments: Any) -> Iterator[list[Any]]:
        with figure(*arguments) as panels:
            yield panels
            (axes,) = panels
            found.update({line.get_label(): np.asarray(line.get_xydata()) for line in axes.lines})
            found["scale"] = axes.get_yscale()

    monkeypatch.setattr(bands, "figure", noted)
    return found


def test_curves_are_named_by_what_differs_and_equal_ones_are_told(
    runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lines_drawn(monkeypatch)
    assert command_alone("report", *runs, f"--out={tmp_path / 'x.svg'}", "--title=$x_y$") == 0
    assert set(found) - {"scale"} == {
        *(f"aggregator={kind}, seed={seed}" for kind in ("mean", "median") for seed in (1, 2))
    }
    said = capsys.readouterr()
    assert said.err == "note: these curves are equal: aggregator=mean, seed=1; aggregator=mean, seed=2\n"
    assert said.out.endswith(f"4 of 4 done\nwrote {tmp_path / 'x.svg'}\n")


def test_seeds_are_averaged_in_figure_table_and_csv(
    runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lines_drawn(monkeypatch)
    out = [f"--out={tmp_path / name}" for name in ("x.png", "x.csv")]
    labels = ["--label=one", "--label=two"]
    assert command_alone("report", *runs, "--by=seed", *out, *labels, "--against=bytes_up", "--scale=linear") == 0
    assert found.pop("scale") == "linear"
    assert {label: line.tolist() for label, line in found.items()} == {
        "one": [[0, 8], [10, 4], [20, 0.5]],
        "two": [[0, 8], [10, 5.5], [20, 0.5]],
    }
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["curve"], row["runs"], row["loss"], row["diverged"]) for row in rows] == [
        ("one", "2", "0.5", "0"),
        ("two", "2", "0.5", "0"),
    ]
    assert "0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "scale"), [([1.0, -0.1, -0.24], "linear"), ([1e2, 1e-2, 1e-6], "log"), ([1e4, 1.0, 0.0], "symlog")]
)
def test_no_value_falls_off_the_axis(
    loss: list[float], scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lines_drawn(monkeypatch)
    run = write_trace(tmp_path / "run", loss)
    assert command_alone("report", str(run), f"--out={tmp_path / 'x.svg'}") == 0
    assert found["scale"] == scale
    assert found["run"][:, 1].tolist() == loss


def test_more_curves_than_one_can_tell_apart_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(write_trace(tmp_path / f"{seed}", [9.0, seed], seed=seed)) for seed in range(1, 12)]
    assert command_alone("report", *runs, f"--out={tmp_path / 'x.svg'}") == 0
    assert "note: 11 curves in one figure; --by seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--out=x.gif"],
            "x.gif: unknown kind of file; choose .html (a page), .csv (a table), .png, .pdf or .svg (a figure)",
        ),
        (["--out=x"], "x: unknown kind of file; choose .html"),
        (["--out=x.png", "--metric=auc"], "none of these runs has auc"),
        (["--by=sead"], "no plan has the key 'sead' (did you mean 'seed'?)"),
        (["--label=a"], "--label: 1 given, 4 needed, for aggregator=mean, seed=1"),
        (
            ["--out=x.png", "--out=y.html", "--out=z.csv", "--label=a"],
            "--label: 1 given, 4 needed, for aggregator=mean, seed=1",
        ),
    ],
)
def test_what_is_refused_writes_nothing(
    arguments: list[str],
    said: str,
    runs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_alone("report", *runs, *arguments) == 2
    assert f"mpirobust: {said}" in capsys.readouterr().err
    assert not list(tmp_path.glob("[xyz]*"))


def test_a_page_has_its_figures_beside_it(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "page.html"
    assert command_alone("report", *runs, f"--out={out}", "--print=pdf", "--print=svg") == 0
    names = ["page.html", *(f"page-{metric}.{kind}" for metric in ("loss", "gradient_norm") for kind in ("pdf", "svg"))]
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(names)
    assert capsys.readouterr().out.splitlines()[-5:] == [f"wrote {out.parent / name}" for name in names]
    assert 'href="page-loss.pdf"' in out.read_text()


def test_without_matplotlib_there_is_a_page_and_a_note(
    runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "page.html"
    assert command_alone("report", *runs, f"--out={out}") == 0
    assert "note: no figures for print: figures need matplotlib" in capsys.readouterr().err
    assert "For print" not in out.read_text()
    assert command_alone("report", *runs, f"--out={tmp_path / 'x.png'}") == 2


def test_what_takes_long_tells_how_far_it_is(
    runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(seconds: float) -> list[str]:
        """Return what is told if so much time passes between two looks at the clock."""
        monkeypatch.setattr(meter, "monotonic", count(0.0, seconds).__next__)
        assert command_alone("report", *runs, *(f"--out={tmp_path / name}" for name in ("page.html", "x.svg"))) == 0
        return [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]

    assert told(seconds=0.1) == []
    assert told(seconds=1.0) == [
        "reading runs: 25 %, 00:06 left",
        "reading curves: 25 %, 00:06 left",
        "drawing figures for print: 50 %, 00:02 left",
        "reading curves: 25 %, 00:06 left",
    ]
