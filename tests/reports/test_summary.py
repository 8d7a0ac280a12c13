"""What `inspect` says of second-order stationarity and of rounds of escape."""

from __future__ import annotations

import json
import platform
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.records.run_folder import lock
from mpirobust.records.trace import Trace
from mpirobust.reports.run_table import rows
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
        del file["rounds/escape"], file["audits/lambda_min"]
    figures = summary(tmp_path)
    assert (figures["escape_rounds"], figures["first_hit"]) == (0, None)
    assert (figures["lambda_min"], figures["second_order"]) == (None, None)


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
    assert (f"  {'distance to w*':<16}{shown}\n" in text) is not np.isnan(value)  # nan: none is known
    found = json.loads(as_json(figures), parse_constant=pytest.fail)["gradient_norm"]
    assert found == (value if np.isfinite(value) else str(value))
