"""A sweep in one process: run once, reused afterwards, averaged over seeds; what failed or diverged is named."""

from __future__ import annotations

import csv
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.cluster.worker import Worker
from mpirobust.errors import Exit
from mpirobust.records import run_folder
from mpirobust.reports.summary import summary
from mpirobust.running import rounds
from mpirobust.studies import sweep, sweep_figure
from mpirobust.studies.campaign import Job
from mpirobust.studies.side_by_side import _share
from tests.support.alone import command_alone, run_alone
from tests.support.small_studies import FAMILY, PLAN, lay_out
from tests.support.traces import assert_same

_ALPHAS = ("--over", "attack.alpha=0.1,0.2", "--over", "seed=1,2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a plan; pictures take longer than the runs."""
    (tmp_path / "plan.toml").write_text(PLAN.replace("rounds = 12", "rounds = 8").replace("every = 4", "every = 100"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "draw", lambda *_: "")
    return tmp_path


def swept(*more: str, code: Exit = Exit.OK) -> list[dict[str, str]]:
    """Sweep and return the rows of the table of points."""
    assert command_alone("sweep", "plan.toml", *more, "--out=out", "--runs=runs") == code
    return table("sweep.csv")


def table(name: str) -> list[dict[str, str]]:
    with (Path("out") / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_point_is_the_mean_over_its_seeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, said = swept(*_ALPHAS, "--set", "algorithm.rounds=6"), capsys.readouterr()
    runs = table("runs.csv")
    assert [(run["attack.alpha"], run["seed"]) for run in runs] == [
        ("0.1", "1"),
        ("0.1", "2"),
        ("0.2", "1"),
        ("0.2", "2"),
    ]
    assert [list(point)[:4] for point in points] == 2 * [["attack.alpha", "status", "runs", "diverged"]]
    alone = run_alone(folder / "plan.toml", folder / "alone", "attack.alpha=0.2", "seed=2", "algorithm.rounds=6")
    assert_same(alone, folder / "runs" / runs[3]["run"])
    ended = summary(alone)
    for name in ("loss", "gradient_norm", "distance", "bytes_up", "bytes_down", "bytes"):
        assert float(runs[3][name]) == ended[name]
        values = [float(run[name]) for run in runs[2:]]
        assert float(points[1][name]) == pytest.approx(np.mean(values), rel=1e-15)
        assert (float(points[1][f"{name}_min"]), float(points[1][f"{name}_max"])) == (min(values), max(values))
    assert "test_accuracy" not in points[0]  # the problem has none
    assert not list((folder / "runs").rglob("checkpoint-*"))
    best = min(points, key=lambda point: float(point["loss"]))
    assert f"best by loss: {float(best['loss']):.6g} ({float(best['loss_min']):.6g} to " in said.out
    command = next(line for line in said.out.splitlines() if line.startswith("  mpirobust run"))
    assert shlex.split(command)[3:] == ["--set", "algorithm.rounds=6", "--set", f"attack.alpha={best['attack.alpha']}"]
    assert "[4/4] plan: attack.alpha=0.2 seed=2" in said.err


def test_without_seeds_a_point_is_a_run() -> None:
    points = swept("--over", "algorithm.step=0.1,0.01", "--over=aggregator.kind=norm-trim,mean", "--best=distance")
    assert [list(point.values())[:3] for point in points[:2]] == [
        ["0.1", "norm-trim", "finished"],
        ["0.1", "mean", "finished"],
    ]
    assert "loss_min" not in points[0]


def test_points_that_are_equal_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    swept("--over", "attack.variance=1e4,1e6", "--over", "seed=1,2")
    assert re.search(r"^best by loss: .* over 2 seeds\), as at 1 other point$", capsys.readouterr().out, re.MULTILINE)


def test_the_store_is_that_of_the_other_studies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay_out(folder / "study", FAMILY)
    arguments = ["figures", "study", "--runs", "runs", "--out", "figures", "--check", "--run-missing", "--seeds=1"]
    assert command_alone(*arguments) == Exit.SETUP  # no committed tables
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/run.h5")}
    assert len(before) == 3
    capsys.readouterr()
    (folder / "plan.toml").unlink()
    (folder / "plan.toml").symlink_to("study/plan.toml")
    swept("--set", "algorithm.rounds=8", "--over", "aggregator.kind=norm-trim,mean", "--over", "seed=1,2")
    assert capsys.readouterr().err.count("/2] ") == 2
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_what_diverged_is_named_and_in_no_mean(capsys: pytest.CaptureFixture[str]) -> None:
    points = swept("--over", "algorithm.step=0.1,1e200", "--over", "seed=1,2")
    said = capsys.readouterr().out
    assert [point["status"] for point in points] == ["finished", "diverged"]
    assert [points[1][name] for name in ("diverged", "loss", "loss_min", "loss_max", "bytes")] == [
        "1 2",
        "",
        "",
        "",
        "",
    ]
    assert "diverged: algorithm.step=1e200 seed=1 seed=2" in said
    assert [run["loss"] for run in table("runs.csv")[2:]] == ["inf", "inf"]
    swept("--over", "algorithm.step=1e200,1e201")
    assert "no best point by loss: each has a run that diverged or failed" in capsys.readouterr().out


def test_a_run_that_fails_is_named_and_the_others_follow(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At set-up, and by a worker inside a round, which is no end of the others where no other rank waits for it."""
    reply = Worker.reply

    def failing(worker: Worker, round: int, *more: Any) -> Any:
        if worker._config.wire.seed == 3 and round == 2:
            raise ValueError("out of cheese")
        return reply(worker, round, *more)

    monkeypatch.setattr(Worker, "reply", failing)
    points = swept("--over", "attack.kind=label-flip,gaussian", "--over", "seed=1..3", code=Exit.SETUP)
    said = capsys.readouterr()
    assert [point["status"] for point in points] == ["failed", "2 finished, 1 failed"]
    assert points[1]["loss"] == ""
    assert said.err.count("label-flip needs classes") == 1  # of three runs
    assert (
        "mpirobust: plan: attack.kind=gaussian seed=3: worker 0 failed in round 3: ValueError: out of cheese"
        in said.err
    )
    assert "failed: attack.kind=gaussian seed=3" in said.out
    reasons = [run["reason"] for run in table("runs.csv")]
    assert all("label-flip needs classes" in reason for reason in reasons[:3])
    assert "out of cheese" in reasons[5]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert swept("--over", "attack.kind=gaussian", "--over", "seed=1..3")[0]["status"] == "finished"


def test_after_an_interruption_the_same_command_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signal comes in the second of four runs, whose folder is there when it goes on."""
    loop, begun = rounds.loop, []

    def signalled(*arguments: Any) -> Any:
        begun.append(arguments)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
        return loop(*arguments)

    monkeypatch.setattr(rounds, "loop", signalled)
    assert command_alone("sweep", "plan.toml", *_ALPHAS, "--out=out", "--runs=runs") == Exit.INTERRUPTED
    assert "interrupted: the same command goes on" in capsys.readouterr().err
    assert not (folder / "out").exists()
    statuses = sorted(summary(run)["status"] for run in (folder / "runs").iterdir())
    assert statuses == ["finished", "interrupted"]
    swept(*_ALPHAS)
    assert "[3/3] plan: attack.alpha=0.2 seed=2" in capsys.readouterr().err
    alone = run_alone(folder / "plan.toml", folder / "alone", "attack.alpha=0.1", "seed=2")
    assert_same(alone, folder / "runs" / table("runs.csv")[1]["run"])


def test_what_another_command_begins_in_the_meantime_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is there when its turn comes: passed over, and looked at again when all others are done."""
    ours = run_folder.create
    refused: list[Path] = []

    def raced(path: Path) -> bool:
        if not refused and path.parent.name == "runs":
            refused.append(path)
            ours(path)
        return ours(path)

    monkeypatch.setattr(run_folder, "create", raced)
    assert [point["status"] for point in swept(*_ALPHAS)] == ["finished", "finished"]
    assert len(refused) == 1


def test_a_metric_that_no_run_has_is_refused_after_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    points = swept("--over", "seed=1,2", "--best=test_error", code=Exit.SETUP)
    assert "out has the tables, but no run has test_error: give another --best" in capsys.readouterr().err
    assert points[0]["loss"] != ""


def test_where_every_run_fails_the_code_is_that_of_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    points = swept("--over", "seed=1,2", "--set", "attack.kind=label-flip", code=Exit.SETUP)
    said = capsys.readouterr().err
    assert "mpirobust: every run has failed; out has the reasons" in said
    assert "--best" not in said
    assert [point["status"] for point in points] == ["failed"]


@pytest.mark.parametrize(("quiet", "shown"), [([], 8), (["-q"], 0)])
def test_the_rounds_of_a_run_are_told_with_its_place(
    quiet: list[str], shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    swept("--over", "seed=1", "--set", "observers.progress.every_seconds=0", *quiet)
    said = capsys.readouterr().err
    assert said.count("[1/1] round ") == shown
    assert "no run to resume" not in said


def test_what_an_earlier_job_has_begun_is_dealt_and_the_rest_is_everybodys() -> None:
    """Without locks on files, two crews would write to one folder; ranks that are left over get nothing."""
    todo = [Job(Path("plan.toml"), (), 1, Path(name)) for name in "abcdefg"]
    begun = {Path(name) for name in "bdfg"}
    shares = [["".join(job.folder.name for _, job in _share(todo, begun, crew, 2))] for crew in range(3)]
    assert shares == [["abcef"], ["acdeg"], [""]]


_REFUSED = {
    "unknown key": (["--over", "attack.alfa=1"], "plan.toml: attack.alfa: unknown key; the keys here are: alpha, "),
    "a point that cannot be": (
        ["--over", "aggregator.beta=0.3,0.1"],
        "is below attack.alpha = 0.2; choose 0.2 <= beta < 1/2 (at aggregator.beta=0.1)",
    ),
    "the same plan": (["--over", "seed=1,1"], "--over: seed=1 and seed=1 are the same plan; give each value once"),
    "the same number": (["--over", "algorithm.step=0.1,1e-1"], "algorithm.step=0.1 and algorithm.step=1e-1 are the"),
    "too many ranks": (["--over", "seed=1,2", "--ranks-per-run=2"], "--ranks-per-run 2: mpirun has started 1"),
    "no --over": ([], "Missing option '--over'"),
    "no data": (["--over", "seed=1,2", "--set", "data.kind=libsvm", "--set", "data.path=x"], "data.path: no file 'x'"),
}


@pytest.mark.parametrize(("arguments", "said"), _REFUSED.values(), ids=_REFUSED)
def test_what_is_refused_before_the_first_run(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_alone("sweep", "plan.toml", *arguments, "--runs=runs") == Exit.SETUP
    assert said in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_a_disk_that_cannot_be_written_to_ends_the_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the other runs would fail of it again."""
    assert command_alone("sweep", "plan.toml", *_ALPHAS, "--runs=/proc/none") == Exit.STORAGE
    assert capsys.readouterr().err.count("cannot write to") == 1


def test_without_matplotlib_the_tables_are_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    swept(*_ALPHAS)
    said = capsys.readouterr()
    assert "note: no figure will be drawn: matplotlib is not installed (pip install '.[plot]')" in said.err
    assert "sweep.png" not in said.out


_PICTURES = {
    "few points": (
        ["--over", "algorithm.step=0.1,0.2,0.3"],
        "training loss against rounds of 3 points\n",
        ["step = 0.1", "step = 0.2", "step = 0.3"],
    ),
    "a number": (
        ["--over", "algorithm.step=0.1,0.2,0.3,1e200", "--over", "aggregator.kind=norm-trim,mean"],
        "training loss at the end of the runs against algorithm.step",
        ["kind = norm-trim (1 of 4 diverge)", "kind = mean (1 of 4 diverge)"],
    ),
    "two kinds and many points": (
        ["--over", "aggregator.kind=norm-trim,mean", "--over", "compressor.kind=l1-qsgd,identity,sign,terngrad"],
        "training loss against rounds of the best 7 of 8 points",
        None,
    ),
    "nothing": (["--over", "algorithm.step=1e200,1e201"], "", None),
}


@pytest.mark.parametrize(("arguments", "said", "labels"), _PICTURES.values(), ids=_PICTURES)
def test_the_picture_suits_the_values(
    arguments: list[str],
    said: str,
    labels: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(sweep, "draw", sweep_figure.draw)
    monkeypatch.setattr(sweep_figure, "draw_bands", lambda panels, *_: drawn.append(panels[""]))
    monkeypatch.setattr(sweep_figure, "draw_ends", lambda lines, *_: drawn.append(lines))
    swept("--set", "algorithm.rounds=2", *arguments)
    out = capsys.readouterr().out
    assert (f"wrote out/sweep.png: {said}" in out) if said else "sweep.png" not in out
    assert len(drawn) == (1 if said else 0)
    assert labels is None or list(drawn[0]) == labels


def test_a_picture_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "draw", sweep_figure.draw)
    swept("--set", "algorithm.rounds=2", "--over", "algorithm.step=0.1,0.2,0.3,1e200", "--over", "seed=1,2")
    assert (folder / "out" / "sweep.png").read_bytes()[1:4] == b"PNG"
    assert (folder / "out" / "sweep.pdf").read_bytes()[:4] == b"%PDF"
