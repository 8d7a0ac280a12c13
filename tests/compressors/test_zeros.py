"""The sign of a zero is a key of the plan that earlier versions did not have."""

from __future__ import annotations

from typing import Any

import pytest

from mpirobust.records.plan_record import PlanRecord
from mpirobust.testing.support.clusters import regression_plan


def of(zeros: str | None, kind: str, inside: bool) -> dict[str, Any]:
    """The table of a compressor, with the key or as it was before."""
    table: dict[str, Any] = {"kind": kind} if zeros is None else {"kind": kind, "zeros": zeros}
    return {"kind": "layerwise", "compressor": table} if inside else table


@pytest.mark.parametrize("kind", ["l1-qsgd", "sign"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_stored_plan_without_the_key_is_that_of_plus(kind: str, inside: bool) -> None:
    plus, random = (regression_plan(compressor=of(zeros, kind, inside)).record() for zeros in ("plus", "random"))
    former = PlanRecord({**plus.table, "compressor": of(None, kind, inside)}, plus.free, plus.added)
    assert former.identity() == plus.identity()
    assert former.identity() != random.identity()


@pytest.mark.parametrize(("kind", "zeros"), [("l1-qsgd", "random"), ("sign", "plus")])
def test_the_default_is_what_was_measured_to_be_better(kind: str, zeros: str) -> None:
    """benchmarks/zeros.csv: on at least two of regression, MNIST and a9a; if neither is, the default stays."""
    assert regression_plan(compressor=of(None, kind, False)) == regression_plan(compressor=of(zeros, kind, False))
