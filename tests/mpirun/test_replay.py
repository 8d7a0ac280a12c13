"""Replay at a center whose workers are on other ranks."""

from __future__ import annotations

from pathlib import Path

from mpirobust.reports.summary import summary
from tests.running.test_redundancy import write_plan
from tests.support.alone import run_alone
from tests.support.launching import finish, start
from tests.support.traces import assert_same


def test_the_center_computes_what_other_ranks_send(tmp_path: Path) -> None:
    """Alone holds that a message computed in another process has the same bytes."""
    plan = write_plan(tmp_path, redundancy=1, feedback="none", attack={"kind": "gaussian", "workers": [2, 20]})
    alone = run_alone(plan, tmp_path / "alone", "audit.replay=0.5")
    out = tmp_path / "ranks"
    done = finish(
        start("-m", "mpirobust", "run", str(plan), "--out", str(out), "--set", "audit.replay=0.5", ranks=4), timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert_same(alone, out)
    assert set(summary(out)["refuted"]) == {"2", "20"}
    assert "workers 2, 20 sent something else" in done.stdout
