from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.algorithms.base import Query
from mpirobust.attacks.zero import Zero
from mpirobust.testing.support.attack_rounds import run
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.judging import judged


def test_sends_nothing() -> None:
    np.testing.assert_array_equal(Zero(alpha=0.1).corrupt(np.array([1.0, np.inf, np.nan]), np.random.default_rng(0)), 0)


@pytest.mark.parametrize("compressor", [{"kind": "l1-qsgd"}, {"kind": "topk", "k": 2}], ids=["l1-qsgd", "topk"])
@pytest.mark.parametrize("feedback", ["none", "residual"])
def test_is_always_kept_by_the_norm(compressor: dict[str, object], feedback: str) -> None:
    plan = regression_plan(
        compressor=compressor,
        feedback=feedback,
        aggregator={"kind": "norm-trim", "beta": 0.34},
        attack={"kind": "zero", "alpha": 0.34},
    )
    local = LocalRun(plan)
    norms: list[NDArray[np.float64]] = []
    for x in run(local)[:3]:
        inbox = local.ask(len(norms), Query((x,))).answers
        assert judged(plan.aggregator, inbox).kept[local.byzantine].all()
        assert not inbox.norms[local.byzantine].any()
        norms.append(inbox.norms)
    assert all(not np.array_equal(one, other) for one, other in pairwise(norms))
