"""What `inspect` says of second-order stationarity and of rounds of escape."""

from __future__ import annotations

import json
import platform
from math import nan
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tomli_w

from mpirobust.errors import SetupFault
from mpirobust.records.run_folder import lock
from mpirobust.records.trace import Trace
from mpirobust.reports.run_table import rows
from mpirobust.reports.series import curve
from mpirobust.reports.summary import as_json, as_text, summary
from tests.support.alone import command_alone
from tests.support.sealing import resealed

_PLAN = '[aggregator]\nkind = "mean"\n'


def told(
    path: Path, escape: list[bool], gradient_norm: float = 0.5, lambda_min: float = nan, distance: float = 0.0
) -> dict[str, Any]:
    """The summary of a run with these rounds and this last audit."""
    trace = Trace(3, np.array([1]), {"plan": _PLAN})
    for t, escaping in enumerate(escape, start=1):
        row = trace.rounds.append()
        row["round"], row["escape"] = t, escaping
    audit = trace.audits.append()
    audit["gradient_norm"], audit["lambda_min"], audit["distance"] = gradient_norm, lambda_min, distance
    trace.write(path, "finished", len(escape), np.zeros(2))
    return summary(path)


def test_bytes_are_told_both_ways_and_together(tmp_path: Path) -> None:
    trace = Trace(3, np.array([1]), {"plan": _PLAN})
    for t in (1, 2):
        row = trace.rounds.append()
        row["round"], row["bytes_up"], row["bytes_down"] = t, 30, 3000
    trace.write(tmp_path / "run.h5", "finished", 2, np.zeros(2))
    text = as_text(summary(tmp_path), tmp_path)
    assert "  bytes up        60 (10.0 per worker and round)\n" in text
    assert "  bytes down      6,000 (1,000.0 per worker and round)\n" in text
    assert "  bytes together  6,060 (1,010.0 per worker and round)\n" in text


@pytest.mark.parametrize(
    ("strengths", "said"),
    [
        ([0.5, nan, -2.0, 4.0], "  attack strength 0.5 in the median of the rounds, from -2 to 4\n"),
        ([0.5, 0.5], ""),
        ([nan, nan], ""),
    ],
    ids=["searched", "of the plan", "none"],
)
def test_the_strength_of_an_attacker_is_told_if_it_varies(strengths: list[float], said: str, tmp_path: Path) -> None:
    trace = Trace(3, np.array([1]), {"plan": _PLAN})
    for t, strength in enumerate(strengths, start=1):
        row = trace.rounds.append()
        row["round"], row["strength"] = t, strength
    trace.write(tmp_path / "run.h5", "finished", len(strengths), np.zeros(2))
    text = as_text(summary(tmp_path), tmp_path)
    assert said in text
    assert ("attack strength" in text) is bool(said)
    json.loads(as_json(summary(tmp_path)))


@pytest.mark.parametrize(
    ("gradient_norm", "lambda_min", "epsilon"),
    [
        (0.5, 0.1, 0.5),
        (1e-3, 0.2, 1e-3),
        (0.5, 0.0, 0.5),
        (0.5, -0.1, 0.5),
        (1e-3, -0.2, 0.04),
        (1e-3, -1e-9, 1e-3),
        (0.0, 0.0, 0.0),
    ],
)
def test_second_order_is_the_smallest_epsilon(
    tmp_path: Path, gradient_norm: float, lambda_min: float, epsilon: float
) -> None:
    figures = told(tmp_path / "run.h5", [False], gradient_norm, lambda_min)
    assert figures["second_order"] == pytest.approx(epsilon, rel=1e-12)
    assert figures["lambda_min"] == lambda_min
    text = as_text(figures, tmp_path)
    assert f"second-order stationary to (ε, √ε) with ε = {epsilon:.3g}" in text


@pytest.mark.parametrize(("gradient_norm", "lambda_min"), [(0.5, nan), (np.inf, 0.1)])
def test_without_a_measurement_nothing_is_said(tmp_path: Path, gradient_norm: float, lambda_min: float) -> None:
    figures = told(tmp_path / "run.h5", [False], gradient_norm, lambda_min)
    assert figures["second_order"] is None
    assert "second-order" not in as_text(figures, tmp_path)


@pytest.mark.parametrize(
    ("norms", "least"),
    [([3.0], 3.0), ([3.0, 0.5, 2.0], 0.5), ([3.0, nan, 2.0, np.inf], 2.0), ([nan], None), ([0.0, 1.0], 0.0)],
)
def test_the_least_gradient_of_all_audits(tmp_path: Path, norms: list[float], least: float | None) -> None:
    """P1's theorems bound the minimum over the rounds, not the last."""
    trace = Trace(3, np.array([1]), {"plan": _PLAN})
    for number, norm in enumerate(norms):
        audit = trace.audits.append()
        audit["round"], audit["gradient_norm"] = number, norm
        if number:
            trace.rounds.append()["round"] = number
    trace.write(tmp_path / "run.h5", "finished", len(norms) - 1, np.zeros(2))
    figures = summary(tmp_path)
    assert figures["gradient_norm_min"] == least
    text = as_text(figures, tmp_path)
    assert ("min ||∇F||²" in text) == (least is not None)
    assert least is None or f"min ||∇F||²     {least**2:.6g} over the audits" in text


@pytest.mark.parametrize(
    ("escape", "rounds", "first_hit"),
    [
        ([], 0, None),
        ([False] * 3, 0, None),
        ([True], 1, 0),
        ([False] * 4 + [True] * 6, 6, 4),
        ([False, True] * 3, 3, 1),
    ],
)
def test_escapes_are_counted_apart(tmp_path: Path, escape: list[bool], rounds: int, first_hit: int | None) -> None:
    figures = told(tmp_path / "run.h5", escape)
    assert (figures["escape_rounds"], figures["first_hit"], figures["rounds"]) == (rounds, first_hit, len(escape))
    text = as_text(figures, tmp_path)
    if rounds:
        assert f"{rounds}, the first after {first_hit}; {len(escape) - rounds} of descent" in text
    else:
        assert "escape rounds" not in text


def test_files_of_earlier_versions_have_neither(tmp_path: Path) -> None:
    told(tmp_path / "run.h5", [True, False], 0.5, 0.1)
    with resealed(tmp_path / "run.h5") as file:
        del file["rounds/escape"], file["audits/lambda_min"], file["audits/test_loss"], file["audits/auc"]
    figures = summary(tmp_path)
    assert (figures["escape_rounds"], figures["first_hit"]) == (0, None)
    assert (figures["lambda_min"], figures["second_order"]) == (None, None)
    assert (figures["test_loss"], figures["auc"]) == (None, None)


# What is sealed and does not fit the rest of the trace.
_UNFIT: dict[str, tuple[str, Any]] = {
    "norms of two workers": ("rounds/norms", np.ones((3, 2))),
    "norms of one round": ("rounds/norms", np.ones((1, 3))),
    "norms in one row": ("rounds/norms", np.ones(9)),
    "kept as numbers": ("rounds/kept", np.ones((3, 3))),
    "one round, no table": ("rounds/round", np.int64(3)),
    "rounds that begin late": ("rounds/round", np.array([2, 3, 4])),
    "rounds with a gap": ("rounds/round", np.array([1, 3, 4])),
    "more rounds than rows": ("rounds/round", np.arange(1, 10)),
    "bytes in halves": ("rounds/bytes_up", np.full(3, 0.5)),
    "seconds big-endian": ("rounds/elapsed", np.ones(3, ">f8")),
    "audits of a later round": ("audits/round", np.array([7])),
    "audits of a negative round": ("audits/round", np.array([-1])),
    "losses without audits": ("audits/loss", np.zeros(4)),
    "workers that are not there": ("workers/byzantine", np.array([-7, 99])),
    "workers past the last": ("workers/byzantine", np.array([3])),
    "a worker twice": ("workers/byzantine", np.array([1, 1])),
    "half a worker": ("workers/byzantine", np.array([0.5])),
    "one worker, no list": ("workers/byzantine", np.int64(1)),
    "an iterate of matrices": ("model/x", np.zeros((2, 2))),
    "an iterate of words": ("model/x", np.array([True, False])),
}


@pytest.mark.parametrize("unfit", _UNFIT)
def test_tables_that_do_not_fit_each_other_are_one_fault(
    unfit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(tmp_path / "run.h5", [False] * 3)
    name, instead = _UNFIT[unfit]
    with resealed(tmp_path / "run.h5") as file:
        del file[name]
        file[name] = instead
    assert command_alone("inspect", str(tmp_path)) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"mpirobust: {tmp_path}/run.h5: not a whole trace (")
    assert (said.err.count("\n"), said.out) == (1, "")
    with pytest.raises(SetupFault, match="not a whole trace"):
        curve(tmp_path, "loss", "round")
    assert command_alone("report", str(tmp_path)) == 0
    assert "not done: " in (table := capsys.readouterr().out)
    assert "damaged" in table


@pytest.mark.parametrize(("name", "value"), [("rounds", 4), ("rounds", 2**62), ("rounds", "many")])
def test_another_number_of_rounds_than_rows_is_a_fault(tmp_path: Path, name: str, value: object) -> None:
    told(tmp_path / "run.h5", [False] * 3)
    with resealed(tmp_path / "run.h5") as file:
        file.attrs[name] = value
    with pytest.raises(SetupFault, match="the rounds are not 1, 2, 3"):
        summary(tmp_path)


def test_another_number_of_workers_than_in_the_plan_is_a_fault(tmp_path: Path) -> None:
    told(tmp_path / "run.h5", [False] * 3)
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["rounds/norms"].shape == (3, 3)
    for workers, fits in ((3, True), (4, False)):
        with resealed(tmp_path / "run.h5") as file:
            file.attrs["plan"] = tomli_w.dumps({"workers": workers, "aggregator": {"kind": "mean"}})
        if fits:
            assert summary(tmp_path)["workers"] == workers
        else:
            with pytest.raises(SetupFault, match="its plan has another number of workers"):
                summary(tmp_path)


@pytest.mark.parametrize(("hosts", "writer"), [(platform.node(), "not held"), ("another-host " * 3, "unknown")])
def test_a_run_that_was_killed_is_not_said_to_run(
    hosts: str, writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = Trace(2, np.zeros(0, np.intp), {"plan": _PLAN, "hosts": hosts})
    trace.write(tmp_path / "run.h5", "running", 0, np.zeros(2))
    (tmp_path / "run.lock").touch()
    assert command_alone("inspect", str(tmp_path)) == 0
    told = next(line.split() for line in capsys.readouterr().out.splitlines() if "writer" in line)
    assert " ".join(told).startswith(f"writer {writer}: ")
    assert f"last written on {hosts.split()[0]} at 20" in " ".join(told)
    assert command_alone("inspect", str(tmp_path), "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["status"], figures["writer"], figures["host"]) == ("running", writer, hosts.split()[0])
    assert command_alone("inspect", str(tmp_path), "--status") == 0
    shown = capsys.readouterr()
    assert shown.out == "running\n"  # scripts compare this word
    assert shown.err.startswith(f"note: {writer}: ")
    assert rows([tmp_path])[0].unfinished() == f"{tmp_path}: running ({writer})"


def test_a_run_that_is_being_written_is_alive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace(2, np.zeros(0, np.intp), {"plan": _PLAN, "hosts": "another-host"})
    with lock(tmp_path):
        trace.write(tmp_path / "run.h5", "running", 0, np.zeros(2))
        assert summary(tmp_path)["writer"] == "alive"
        assert command_alone("inspect", str(tmp_path), "--status") == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("running\n", "")
    trace.write(tmp_path / "run.h5", "finished", 0, np.zeros(2))
    assert summary(tmp_path)["writer"] is None


@pytest.mark.parametrize(
    ("value", "shown"), [(np.inf, "inf (overflowed)"), (-np.inf, "-inf (overflowed)"), (nan, "nan"), (1e183, "1e+183")]
)
def test_what_is_not_finite_is_shown_as_what_it_is(value: float, shown: str, tmp_path: Path) -> None:
    figures = told(tmp_path / "run.h5", [False], gradient_norm=value, distance=value)
    text = as_text(figures, tmp_path)
    assert f"  {'gradient norm':<16}{shown}\n" in text
    assert (f"  {'distance to w*':<16}{shown}\n" in text) != np.isnan(value)  # nan: none is known
    found = json.loads(as_json(figures), parse_constant=pytest.fail)["gradient_norm"]
    assert found == (value if np.isfinite(value) else str(value))
