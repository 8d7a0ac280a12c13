"""The contract behind redundancy: what an honest worker sends is a function of its key, so a group sends it r times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.testing.examples import admits, components, wire_formats
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.witness import ran

pytestmark = pytest.mark.usefixtures("as_in_a_run")

PARTS: dict[str, tuple[str, Any]] = {
    **{f"compressor-{name}": ("compressor", it) for name, it in wire_formats(8).items()},
    **{f"feedback-{name}": ("feedback", it) for name, it in components("feedback").items()},
    **{f"attack-{name}": ("attack", it) for name, it in components("attack").items() if admits(it, 0)},
}


@pytest.mark.parametrize("name", PARTS)
def test_honest_workers_of_a_group_send_the_same_bytes(name: str) -> None:
    """In eight rounds no honest worker is outvoted, whatever the Byzantine ones do beside it."""
    table, component = PARTS[name]
    changes: dict[str, Any] = {table: component, "algorithm": {"kind": "first-order", "rounds": 8, "step": 0.01}}
    plan = regression_plan(workers=9, redundancy=3, **{"compressor": {"kind": "qsgd", "levels": 4}, **changes})
    for moment in ran(LocalRun(plan)).moments[1:]:
        assert moment.exchange is not None
        assert not np.delete(moment.exchange.outvoted, plan.byzantine()).any()
