"""A run has the same bits with the loops of every instruction set and with their twins."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpirobust import kernels
from tests.support.alone import run_alone
from tests.support.traces import assert_same

_PLAN = """
seed = 3
workers = 10
[data]
kind = "regression"
rows = 331
features = 37
noise = 0.1
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = 8
step = 0.05
[compressor]
{compressor}
[aggregator]
{aggregator}
[attack]
kind = "gaussian"
alpha = 0.2
"""
_PLANS = {
    "trimmed": ('kind = "l1-qsgd"', 'kind = "norm-trim"\nbeta = 0.3'),
    "median": ('kind = "l1-qsgd"', 'kind = "median"'),
    "median, zeros plus": ('kind = "sign"', 'kind = "median"'),
    "votes": ('kind = "l1-qsgd"', 'kind = "majority-vote"'),
    "votes, zeros drawn": ('kind = "sign"\nzeros = "random"', 'kind = "majority-vote"'),
    "trimmed mean": ('kind = "l1-qsgd"', 'kind = "trimmed-mean"\nbeta = 0.3'),
    "inner products": ('kind = "l1-qsgd"', 'kind = "caf"\nbeta = 0.3'),
    "levels": ('kind = "qsgd"\nlevels = 16', 'kind = "norm-trim"\nbeta = 0.3'),
    "levels, inner products": ('kind = "uniform"', 'kind = "geometric-median"'),
    "trits": ('kind = "terngrad"', 'kind = "norm-trim"\nbeta = 0.3'),
    "trits, median": ('kind = "terngrad"', 'kind = "median"'),
    "the largest": ('kind = "topk"\nk = 10', 'kind = "norm-trim"\nbeta = 0.3'),
    "the largest, inner products": ('kind = "topk"\nk = 10', 'kind = "caf"\nbeta = 0.3'),
    "some at random": ('kind = "randomk"\nk = 10', 'kind = "mean"'),
    "uncompressed median": ('kind = "identity"', 'kind = "median"'),
}


@pytest.mark.parametrize("name", _PLANS)
def test_the_kernels_change_no_bit(name: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    compressor, aggregator = _PLANS[name]
    plan.write_text(_PLAN.format(compressor=compressor, aggregator=aggregator))
    before, folders = kernels.in_use(), []
    try:
        for loops in kernels.available():
            kernels.use(loops)
            folders.append(run_alone(plan, tmp_path / loops))
    finally:
        kernels.use(before)
    for folder in folders[1:]:
        assert_same(folders[0], folder)
