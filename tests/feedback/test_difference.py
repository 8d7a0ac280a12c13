"""Compressed differences (EF21): worker and center keep the same state, and the rule judges the states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.testing.support.clusters import LocalRun, regression_plan

CODES: list[dict[str, Any]] = [
    {"kind": "identity"},
    {"kind": "l1-qsgd"},
    {"kind": "topk", "k": 2},
    {"kind": "randomk", "k": 3},
]


@pytest.mark.parametrize("compressor", CODES, ids=lambda table: table["kind"])
def test_both_ends_keep_the_same_state_and_it_nears_the_answer(compressor: dict[str, Any]) -> None:
    local = LocalRun(regression_plan(feedback="difference", compressor=compressor))
    query = Query((local.x0,), scale=0.5)
    answers = [local.config.loss.gradient(local.x0, worker.clean) for worker in local.workers]
    away = []
    for round in range(60):
        exchange = local.ask(round, query)
        states = list(local.cluster.memory("state", round + 1))
        for worker, state in zip(local.workers, states, strict=True):
            np.testing.assert_array_equal(worker.memory["state"], state)
        np.testing.assert_allclose(exchange.answers.norms, np.linalg.norm(states, axis=1))
        np.testing.assert_allclose(exchange.answers.average(exchange.answers.sound), 0.5 * np.mean(states, axis=0))
        away.append(np.linalg.norm(np.array(states) - answers))
    assert away[-1] < 0.05 * away[0] + 1e-12


def test_what_crosses_is_counted_not_what_is_judged() -> None:
    local = LocalRun(regression_plan(feedback="difference", compressor={"kind": "topk", "k": 2}))
    exchange = local.ask(0, Query((local.x0,)))
    assert exchange.bytes_up == 6 * local.config.wire.message_limit()


def test_garbage_leaves_the_state_where_it_is_and_is_not_judged() -> None:
    attack = {"kind": "garbage", "alpha": 0.4}
    local = LocalRun(regression_plan(feedback="difference", compressor={"kind": "l1-qsgd"}, attack=attack))
    before = np.array(list(local.cluster.memory("state", 0)))
    for round in range(5):
        exchange = local.ask(round, Query((local.x0,)))
        after = np.array(list(local.cluster.memory("state", round + 1)))
        unsound = ~exchange.answers.sound
        assert unsound.any()
        np.testing.assert_array_equal(after[unsound], before[unsound])
        before = after.copy()


@pytest.mark.parametrize("kind", ["ipm", "collude"])
def test_an_omniscient_attacker_aims_at_the_states(kind: str) -> None:
    attack = {"kind": kind, "alpha": 0.4}
    local = LocalRun(regression_plan(feedback="difference", compressor={"kind": "identity"}, attack=attack))
    local.ask(0, Query((local.x0,)))
    states = np.array(list(local.cluster.memory("state", 1)))
    honest = states[~local.byzantine].mean(axis=0)
    for state in states[local.byzantine]:
        assert state @ honest < 0
        np.testing.assert_allclose(abs(state @ honest), np.linalg.norm(state) * np.linalg.norm(honest))
