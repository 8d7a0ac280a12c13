"""The metrics of the test rows, from the trace to `inspect`, `report` and the studies."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from mpirobust.errors import SetupFault
from mpirobust.records.trace import Trace
from mpirobust.reports.metrics import DERIVED, LABELS, Metric
from mpirobust.reports.series import curve
from mpirobust.reports.summary import as_text, summary
from mpirobust.types import Audited
from tests.support.sealing import resealed

VALUES = {"test_accuracy": 0.97, "test_loss": 0.125, "balanced_accuracy": 0.75, "auc": 0.875}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with two audits, of which only the second has an area under the curve."""
    trace = Trace(3, np.array([1]), {"plan": '[aggregator]\nkind = "mean"\n'})
    for t in range(2):
        audit = trace.audits.append()
        audit["round"] = t
        for name, value in VALUES.items():
            audit[name] = nan if (t, name) == (0, "auc") else value
    trace.rounds.append()["round"] = 1
    trace.write(tmp_path / "run.h5", "finished", 1, np.zeros(2))
    return tmp_path


def test_inspect_prints_those_that_there_are(folder: Path) -> None:
    figures = summary(folder)
    assert {name: figures[name] for name in VALUES} == VALUES
    text = as_text(figures, folder)
    for label, value in [("test loss", "0.125"), ("balanced acc.", "0.75"), ("area under ROC", "0.875")]:
        assert f"  {label:<16}{value}" in text


@pytest.mark.parametrize("metric", ["test_loss", "balanced_accuracy", "auc"])
def test_a_curve_of_each(folder: Path, metric: str) -> None:
    np.testing.assert_array_equal(curve(folder, metric, "round")[1][-1], VALUES[metric])


@pytest.mark.parametrize(
    ("error", "metric"),
    [("test_error", "test_accuracy"), ("balanced_error", "balanced_accuracy"), ("auc_error", "auc")],
)
def test_an_error_is_what_is_missing_to_one(folder: Path, error: str, metric: str) -> None:
    assert curve(folder, error, "round")[1][-1] == 1 - VALUES[metric]


@pytest.mark.parametrize("metric", ["auc", "auc_error", "test_loss"])
def test_a_file_of_an_earlier_version_has_no_such_curve(folder: Path, metric: str) -> None:
    with resealed(folder / "run.h5") as file:
        del file["audits/auc"], file["audits/test_loss"]
    with pytest.raises(SetupFault, match=f"run.h5 has no {metric}"):
        curve(folder, metric, "round")


def test_every_metric_has_a_label_and_is_audited_or_made_of_what_is() -> None:
    assert {*get_args(Audited), *get_args(Metric)} <= {*LABELS}
    assert {*get_args(Metric)} - {*get_args(Audited)} == {*DERIVED}
