from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mpirobust.observers.recording import Recorder
from mpirobust.records.trace import Trace
from mpirobust.reports.summary import summary
from tests.support.clusters import LocalRun, regression_plan
from tests.support.witness import first_order, ran

_PGD = {"kind": "byzantine-pgd", "rounds": 500, "step": 0.1, "threshold": 0.3, "R": 50.0, "Q": 4, "T_th": 3}


@pytest.mark.parametrize(("algorithm", "escape_rounds"), [(_PGD, 12), (first_order(), 0)], ids=["pgd", "first-order"])
def test_rounds_of_escape_stand_apart_in_the_file(
    algorithm: dict[str, Any], escape_rounds: int, tmp_path: Path
) -> None:
    local = LocalRun(regression_plan(algorithm=algorithm))
    trace = Trace(6, local.config.byzantine, {"plan": local.plan.toml()})
    rounds = len(ran(local, Recorder(trace, tmp_path / "run.h5")).moments) - 1
    found = summary(tmp_path)
    assert (found["rounds"], found["escape_rounds"]) == (rounds, escape_rounds)
    assert found["first_hit"] == (rounds - 12 if escape_rounds else None)  # first hit and total differ by Q T_th
