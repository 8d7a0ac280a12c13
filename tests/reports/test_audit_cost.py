"""What `check` says of the cost of an audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.reports import audit_cost
from mpirobust.reports.forecast import forecast
from mpirobust.testing.support.clusters import regression_plan


@pytest.mark.parametrize(
    ("cost", "every", "end"),
    [
        (0.0, 1, "0 rounds, measured here and now: 0% of its time"),
        (0.125, 1, "0.12 rounds, measured here and now: 11% of its time"),
        (0.25, 1, "20% of its time; audit.every = 2 makes that less than 20%"),
        (1.0, 1, "50% of its time; audit.every = 5 makes that less than 20%"),
        (1.0, 5, "17% of its time"),
        (1.4, 5, "22% of its time; audit.every = 6 makes that less than 20%"),
    ],
)
def test_which_cadence_is_enough(cost: float, every: int, end: str) -> None:
    assert audit_cost.said(cost, every).endswith(end)


def test_check_measures_the_plan_and_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turns of a clock that counts what workers do: a round 1, an audit 2, the test rows 4."""
    plan = tmp_path / "plan.toml"
    data = {"kind": "regression", "rows": 60, "features": 8, "test_rows": 12}
    plan.write_text(regression_plan(data=data, audit={"every": 3, "metrics": ["test_loss"]}).toml())
    work = {"reply": 1.0, "audit": 2.0, "tested": 4.0}
    seconds = [0.0]
    for name, taken in work.items():
        monkeypatch.setattr(WorkerGroup, name, lambda *_, taken=taken, **__: seconds.append(taken))
    monkeypatch.setattr(audit_cost, "thread_time", lambda: sum(seconds))
    expected = "  audit       costs a worker 6 rounds, measured here and now: 67% of its time; audit.every = 25 "
    assert expected in forecast(plan, [])
