"""A plan as a table, changed at will, and what is wrong with it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mpirobust.errors import Exit, PlanFault
from mpirobust.plan import Plan

TABLE: dict[str, Any] = {
    "seed": 1,
    "workers": 10,
    "data": {"kind": "libsvm", "path": "rows.svm", "split": 0.7, "partition": {"kind": "iid"}},
    "problem": {"kind": "logistic", "l2": 2},
    "algorithm": {"kind": "first-order", "rounds": 5, "step": 0.5},
    "compressor": {"kind": "topk", "k": 3},
    "aggregator": {"kind": "norm-trim", "beta": 0.3},
    "attack": {"kind": "label-flip", "alpha": 0.2},
    "audit": {"every": 2},
}
GONE = object()


def changed(*changes: tuple[str, object]) -> dict[str, Any]:
    """TABLE with values set or removed at dotted keys."""
    table = deepcopy(TABLE)
    for key, value in changes:
        inner = table
        *path, last = key.split(".")
        for part in path:
            inner = inner.setdefault(part, {})
        if value is GONE:
            del inner[last]
        else:
            inner[last] = deepcopy(value)
    return table


def fault(table: dict[str, Any]) -> PlanFault:
    with pytest.raises(PlanFault) as caught:
        Plan.of(table)
    assert caught.value.code == Exit.SETUP
    return caught.value
