"""The sign of a zero is a key of the plan that earlier versions did not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from mpirobust.compressors.base import Compressor
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.sign import Sign
from mpirobust.errors import SetupFault
from mpirobust.records.plan_record import PlanRecord
from mpirobust.records.run_folder import check_continues, former_run
from mpirobust.records.trace import Trace
from mpirobust.running.resuming import stored_plan
from mpirobust.testing.support.clusters import regression_plan
from tests.support.statistics import draws

ZEROS = ("plus", "random")


def of(zeros: str | None, kind: str, inside: bool) -> dict[str, Any]:
    """The table of a compressor, with the key or as it was before."""
    table: dict[str, Any] = {"kind": kind} if zeros is None else {"kind": kind, "zeros": zeros}
    return {"kind": "layerwise", "compressor": table} if inside else table


@pytest.mark.parametrize("kind", [L1QSGD, Sign])
def test_the_sign_of_a_zero_is_plus_or_drawn(kind: Callable[..., Compressor]) -> None:
    v = np.where(np.arange(10_000) < 5000, 0.0, np.random.default_rng(0).standard_normal(10_000))
    plus, random = (draws(kind(zeros=zeros), v, 2) for zeros in ZEROS)
    np.testing.assert_array_equal(plus[:, 5000:], random[:, 5000:])
    assert (plus[:, :5000] > 0).all()
    assert np.abs((random[:, :5000] > 0).mean(axis=1) - 0.5).max() < 5 * 0.5 / 5000**0.5
    assert not np.array_equal(random[0], random[1])  # each round draws anew


@pytest.mark.parametrize("kind", ["l1-qsgd", "sign"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_stored_plan_without_the_key_is_that_of_plus(kind: str, inside: bool) -> None:
    plus, random = (regression_plan(compressor=of(zeros, kind, inside)).record() for zeros in ZEROS)
    former = PlanRecord({**plus.table, "compressor": of(None, kind, inside)}, plus.free, plus.added)
    assert former.identity() == plus.identity()
    assert former.identity() != random.identity()


def test_a_stored_run_goes_on_with_plus_and_says_so_otherwise(tmp_path: Path) -> None:
    plus, random = (regression_plan(compressor=of(zeros, "l1-qsgd", inside=False)).record() for zeros in ZEROS)
    stored = tomli_w.dumps({**plus.table, "compressor": of(None, "l1-qsgd", inside=False)})
    Trace(6, np.zeros(0, np.intp), {"plan": stored}).write(tmp_path / "run.h5", "interrupted", 0, np.zeros(8))
    check_continues(tmp_path, former_run(tmp_path), plus)
    with pytest.raises(SetupFault, match=r"another plan: compressor\.zeros was 'plus', is 'random'"):
        check_continues(tmp_path, former_run(tmp_path), random)
    plan, _ = stored_plan(former_run(tmp_path), (), (), tmp_path)
    assert plan.compressor == L1QSGD(zeros="plus")  # mpirobust resume
    plan, _ = stored_plan(former_run(tmp_path), ("compressor.zeros=random",), (), tmp_path)
    assert plan.compressor == L1QSGD(zeros="random")


@pytest.mark.parametrize(("kind", "zeros"), [("l1-qsgd", "random"), ("sign", "plus")])
def test_the_default_is_what_was_measured_to_be_better(kind: str, zeros: str) -> None:
    """benchmarks/zeros.csv: on two of regression, MNIST and a9a (robust); if neither is, the default stays."""
    assert regression_plan(compressor=of(None, kind, False)) == regression_plan(compressor=of(zeros, kind, False))
