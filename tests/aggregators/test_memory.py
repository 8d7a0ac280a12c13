"""No rule holds all vectors at once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mpirobust.aggregators.base import Aggregator, remembers_workers
from mpirobust.answers import Inbox
from mpirobust.compressors.base import BLOCK
from mpirobust.compressors.l1_qsgd import L1QSGD
from mpirobust.compressors.terngrad import TernGrad
from mpirobust.testing.examples import components
from mpirobust.testing.support.codes import drawn, inbox_of
from mpirobust.testing.support.judging import judged
from mpirobust.types import Message

_RULES: dict[str, Aggregator] = {type(rule).__name__: rule for rule in components("aggregator").values()}
_M, _DIM = 30, 24 * BLOCK
_BOUND = 8 * (8 * _M * BLOCK + 3 * _DIM)


@pytest.fixture(scope="module", params=[L1QSGD(), TernGrad()], ids=["counted", "decoded"])
def box(request: pytest.FixtureRequest) -> Inbox:
    """Messages whose bits most rules count, and messages that all of them decode."""
    rng, code = np.random.default_rng(0), drawn(request.param, _DIM)
    messages: list[Message] = [code.encode(rng.standard_normal(_DIM), rng) for _ in range(_M)]
    return inbox_of(messages, _DIM, request.param, scale=0.1)


@pytest.mark.parametrize("rule", _RULES.values(), ids=_RULES.keys())
def test_holds_some_blocks_and_some_vectors(rule: Aggregator, box: Inbox) -> None:
    tracemalloc.start()
    try:
        with threadpool_limits(1):
            judged(rule, box)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    remembered = 2 * 8 * _M * _DIM * remembers_workers(rule)  # and a copy while one is made
    assert peak < _BOUND + 2 * remembered
    assert _BOUND < 0.5 * 8 * _M * _DIM
