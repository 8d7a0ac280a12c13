"""What `inspect` says of second-order stationarity and of rounds of escape."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.records.trace import Trace
from mpirobust.reports.summary import as_text, summary
from tests.support.sealing import resealed

_PLAN = '[aggregator]\nkind = "mean"\n'


def told(path: Path, escape: list[bool], gradient_norm: float = 0.5, lambda_min: float = nan) -> dict[str, Any]:
    """The summary of a run with these rounds and this last audit."""
    trace = Trace(3, np.array([1]), {"plan": _PLAN})
    for t, escaping in enumerate(escape, start=1):
        row = trace.rounds.append()
        row["round"], row["escape"] = t, escaping
    audit = trace.audits.append()
    audit["gradient_norm"], audit["lambda_min"] = gradient_norm, lambda_min
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
        del file["rounds/escape"], file["audits/lambda_min"], file["audits/test_loss"], file["audits/auc"]
    figures = summary(tmp_path)
    assert (figures["escape_rounds"], figures["first_hit"]) == (0, None)
    assert (figures["lambda_min"], figures["second_order"]) == (None, None)
    assert (figures["test_loss"], figures["auc"]) == (None, None)
