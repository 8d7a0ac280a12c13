"""What `check` says of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mpirobust.reports import forecast
from mpirobust.testing.support.clusters import regression_plan

_BATCHES = {"kind": "first-order", "rounds": 3, "step": 0.1}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"algorithm": {**_BATCHES, "batch": 10}}, True),  # the rows that a worker has
        ({"algorithm": {**_BATCHES, "batch": 9}}, False),
        ({"algorithm": {"kind": "newton", "rounds": 3}}, False),
        ({"downlink": {"kind": "uniform"}}, False),
    ],
)
def test_gradients_that_audits_keep_are_told(changes: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(regression_plan(**changes).toml())
    line = "  memory      from audit to round 0.0 MiB more a worker, at most 1024.0 MiB a rank"
    assert (line in forecast.forecast(plan, [])) == kept


def test_they_take_a_vector_a_worker_until_a_rank_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert forecast._kept(regression_plan(), 10 * 2**17, 10) == 10 * 2**20
    monkeypatch.setattr(forecast, "MOST_KEPT", 2**20)
    assert forecast._kept(regression_plan(), 10 * 2**17, 10) == 2**20
