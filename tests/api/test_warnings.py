"""Notes on what a program gives are warnings, and point at the line of the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mpirobust
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.comm.local import LocalCommunicator
from mpirobust.compressors.qsgd import QSGD
from mpirobust.testing.support.clusters import regression_plan

RULE = {"kind": "norm-trim", "share": 0.2}
CODE = {"kind": "qsgd", "steps": 4}
TABLE = {**regression_plan(algorithm={"kind": "first-order", "rounds": 1, "step": 0.1}).table(), "aggregator": RULE}
ROWS = np.ones((5, 3))

_CALLS: dict[str, Callable[[], object]] = {
    "aggregator": lambda: mpirobust.aggregator("norm-trim", share=0.2),
    "compressor": lambda: mpirobust.compressor("qsgd", steps=4),
    "aggregate": lambda: mpirobust.aggregate(ROWS, "norm-trim", share=0.2),
    "judge": lambda: mpirobust.judge(ROWS, RULE),
    "encode": lambda: mpirobust.encode(ROWS, CODE),
    "decode": lambda: mpirobust.decode(mpirobust.encode(ROWS, QSGD(levels=4)), CODE, ROWS.shape),
    "max_nbytes": lambda: mpirobust.max_nbytes(CODE, 3),
    "load_plan": lambda: mpirobust.load_plan(TABLE),
    "check": lambda: mpirobust.check(TABLE),
    "run": lambda: mpirobust.run(TABLE),
    "RobustReducer": lambda: mpirobust.RobustReducer(LocalCommunicator(), aggregator={**RULE, "share": 0.0}),
}


@pytest.fixture(autouse=True)
def renamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(NormTrim, "former_keys", {"beta": "share"}, raising=False)
    monkeypatch.setattr(QSGD, "former_keys", {"levels": "steps"}, raising=False)


@pytest.mark.parametrize("name", _CALLS)
def test_a_key_that_was_renamed_warns_on_the_line_of_the_program(name: str) -> None:
    with pytest.warns(
        UserWarning, match=r"^(aggregator\.share|compressor\.steps) is now called \w+\.(beta|levels);"
    ) as told:
        _CALLS[name]()
    assert [each.filename for each in told] == [__file__]


def test_a_key_in_a_table_in_a_table_is_named_whole() -> None:
    with pytest.warns(UserWarning, match=r"^aggregator\.rule\.share is now called aggregator\.rule\.beta"):
        mpirobust.aggregator("nnm", beta=0.1, rule=RULE)
