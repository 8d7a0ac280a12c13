"""A Byzantine worker: what it sends, what it keeps, and what is audited of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.attacks.label_flip import LabelFlip
from mpirobust.cluster.worker import Worker
from mpirobust.problems.logistic import Logistic
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.shards import made_shard

TOPK = {"kind": "topk", "k": 2}
BITFLIP = {"kind": "bitflip", "alpha": 0.34, "rate": 0.05}


def test_what_it_sends_is_cut_one_byte_above_the_longest_honest_message() -> None:
    local = LocalRun(regression_plan(attack={"kind": "resized", "alpha": 0.34, "factor": 1000.0}))
    sent = [len(worker.reply(0, Query((local.x0,)))[0]) for worker in local.workers]
    assert [nbytes - 8 * 8 for nbytes in sent] == local.byzantine.astype(int).tolist()


@pytest.mark.parametrize("attack", [BITFLIP, {"kind": "garbage", "alpha": 0.34}], ids=lambda table: table["kind"])
def test_its_residual_is_that_of_an_honest_worker(attack: dict[str, Any]) -> None:
    tampering, honest = (
        LocalRun(regression_plan(feedback="residual", compressor=TOPK, **more)) for more in ({"attack": attack}, {})
    )
    assert tampering.byzantine.sum() == 2
    for round in range(5):
        query = Query((np.full(8, 1.0 + round),), scale=0.1)
        for one, other in zip(tampering.workers, honest.workers, strict=True):
            sent, due = one.reply(round, query)[0], other.reply(round, query)[0]
            assert sent == due or tampering.byzantine[one.index]
            np.testing.assert_array_equal(one.memory["residual"], other.memory["residual"])


def test_its_state_is_the_one_that_the_center_has_of_it() -> None:
    local = LocalRun(regression_plan(feedback="difference", compressor=TOPK, attack=BITFLIP))
    for round in range(20):
        local.ask(round, Query((np.full(8, 1.0 + round),)))
    for worker, state in zip(local.workers, local.cluster.memory("state", 20), strict=True):
        np.testing.assert_array_equal(worker.memory["state"], state)


def test_wrong_data_are_not_what_is_audited() -> None:
    attack, shard = LabelFlip(alpha=0.2), made_shard(20, 8, 2)
    config = replace(LocalRun(regression_plan()).config, loss=Logistic(), attack=attack, byzantine=np.array([0]))
    byzantine, honest = (Worker(index, config, shard, None) for index in (0, 1))
    assert byzantine.clean is honest.clean is shard
    query = Query((np.ones(8),))
    assert byzantine.reply(0, query)[0] != honest.reply(0, query)[0]
