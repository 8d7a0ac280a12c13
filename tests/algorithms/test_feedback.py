"""Error feedback is for algorithms that take every answer as a step."""

from __future__ import annotations

from typing import Any

import pytest

from mpirobust.errors import PlanFault
from mpirobust.testing.support.clusters import regression_plan

WITH_PAUSES: dict[str, dict[str, Any]] = {
    "byzantine-pgd": {"step": 0.1, "threshold": 0.1},
    "perturbed-gd": {"step": 0.1, "threshold": 0.1, "radius": 1.0, "wait": 3},
}


@pytest.mark.parametrize("kind", WITH_PAUSES)
def test_residuals_are_refused_where_a_round_may_take_no_step(kind: str) -> None:
    algorithm = {"kind": kind, "rounds": 9, **WITH_PAUSES[kind]}
    with pytest.raises(PlanFault, match=r"feedback: .* without a step would be lost"):
        regression_plan(algorithm=algorithm, feedback="residual")
    for feedback in ("none", "difference"):
        regression_plan(algorithm=algorithm, feedback=feedback)


def test_newton_steps_take_residuals() -> None:
    for kind, more in {"newton": {}, "cubic-newton": {"M": 1.0}}.items():
        regression_plan(algorithm={"kind": kind, "rounds": 3, **more}, feedback="residual")
