"""The workers of one process: who lives there, and who is named where one fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.algorithms.first_order import FirstOrder
from mpirobust.attacks.base import Attack, DataAttack
from mpirobust.cluster import worker_group
from mpirobust.cluster.worker import Worker
from mpirobust.cluster.worker_group import WorkerGroup
from mpirobust.components import component
from mpirobust.errors import WorkerFault
from mpirobust.numerics import threads
from mpirobust.problems.base import Loss
from mpirobust.problems.least_squares import LeastSquares
from mpirobust.problems.network import Network
from mpirobust.shard import Shard
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Vector


def group_of(local: LocalRun, unreadable: int = -1) -> WorkerGroup:
    """Workers 0 and 1, and the others in reserve."""

    def recruit(indices: Sequence[int]) -> Iterator[Worker]:
        for index in indices:
            if index == unreadable:
                raise OSError("Input/output error")
            yield local.workers[index]

    return WorkerGroup(local.config, local.workers[:2], recruit)


def test_who_lives_on_keeps_what_it_has_and_others_move_in_or_out() -> None:
    local = LocalRun(regression_plan())
    group = group_of(local)
    group.set_workers([1, 3, 5], range(6))
    assert [worker.index for worker in group.workers] == [1, 3, 5]
    assert group.workers[0] is local.workers[1]


def test_the_one_whose_rows_cannot_be_read_is_named() -> None:
    group = group_of(LocalRun(regression_plan()), unreadable=4)
    with pytest.raises(WorkerFault, match="worker 4 cannot move here: OSError: Input/output error") as caught:
        group.set_workers([0, 1, 3, 4, 5], range(6))
    assert caught.value.worker == 4


@dataclass(frozen=True)
class Mirrored(DataAttack):
    """Negative targets, for data without classes."""

    def poison(self, shard: Shard, rng: np.random.Generator) -> Shard:
        return shard.with_labels(-shard.y)


BATCHES = {"kind": "first-order", "rounds": 3, "step": 0.1}


@pytest.mark.parametrize(
    ("changes", "attack", "computed"),
    [
        ({}, None, 0),
        ({"attack": {"kind": "gaussian", "alpha": 0.34}}, None, 0),
        ({"attack": {"kind": "gaussian", "alpha": 0.34}}, Mirrored(alpha=0.34), 2),  # of the two Byzantine workers
        ({"algorithm": {**BATCHES, "batch": 10}}, None, 0),  # the rows that there are
        ({"algorithm": {**BATCHES, "batch": 9}}, None, 6),
        ({"algorithm": {"kind": "newton", "rounds": 3}}, None, 6),
        ({"downlink": {"kind": "uniform"}}, None, 6),
    ],
)
def test_an_answer_is_the_gradient_of_the_audit_if_both_ask_for_it(
    changes: dict[str, Any], attack: Attack | None, computed: int
) -> None:
    local = LocalRun(regression_plan(**changes))
    config = replace(local.config, attack=attack or local.config.attack)
    groups = [
        WorkerGroup(config, [Worker(each.index, config, each.clean, None) for each in local.workers], lambda _: [])
        for _ in range(2)
    ]
    points: list[Vector] = list(np.random.default_rng(2).standard_normal((3, 8)))
    for round, x in enumerate(points):
        expected = groups[0].reply(round, Query((x,))).messages
        scores, gradients = groups[1].audit(x)
        assert np.count_nonzero(scores[:, -1]) == 6 - computed
        with counted_gradients() as calls:
            assert groups[1].reply(round, Query((x.copy(),))).messages == expected
        assert len(calls) == computed
        again = groups[1].audit(x)
        np.testing.assert_array_equal(again[0][:, :-1], scores[:, :-1])
        np.testing.assert_array_equal(again[1].parts, gradients.parts)


@component
class ThriceTheLoss(LeastSquares):
    """What it inherits from computes value and gradient together, without this."""

    def gradient(self, x: Vector, shard: Shard) -> Vector:
        return 3 * super().gradient(x, shard)


@component
class ThriceTheValue(Network):
    """Its gradient, which is that of the network, is computed with a value."""

    def value(self, x: Vector, shard: Shard) -> float:
        return 3 * super().value(x, shard)


@component
class ThriceTheAnswer(FirstOrder):
    """What it inherits from says that answers are gradients."""

    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        return 3 * super().answer(query, loss, shard, rng)


class Thrice:
    def answer(self, query: Query, loss: Loss, shard: Shard, rng: np.random.Generator) -> Vector:
        return 3 * loss.gradient(query.vectors[0], shard)


@component
class ThriceFromAside(Thrice, FirstOrder):
    """The answer is that of a class that is no algorithm."""


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": ThriceTheLoss()},
        {"algorithm": ThriceTheAnswer(rounds=3, step=0.1)},
        {"algorithm": ThriceFromAside(rounds=3, step=0.1)},
    ],
    ids=lambda changes: type(*changes.values()).__name__,
)
def test_what_derives_from_another_answers_by_its_own_gradient_after_an_audit(changes: dict[str, Any]) -> None:
    local = LocalRun(regression_plan())
    config = replace(local.config, **changes)
    x, sent = np.ones(8), []
    for audited in (False, True):
        group = WorkerGroup(config, [Worker(0, config, local.workers[0].clean, None)], lambda _: [])
        if audited:
            group.audit(x)
        sent += group.reply(0, Query((x,))).messages
    assert sent[0] == sent[1] != local.workers[0].reply(0, Query((x,)))[0]


def test_a_loss_that_derives_from_another_is_audited_by_its_own_value() -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6, 4)).astype(np.float32)
    shard = Shard(X, X.T, np.arange(6.0) % 3, classes=3, total=6)
    loss, plain = (kind(hidden=(5,), classes=3) for kind in (ThriceTheValue, Network))
    x = plain.start(4, rng)
    value, gradient = loss.value_and_gradient(x, shard)
    assert value == 3 * plain.value(x, shard)
    np.testing.assert_array_equal(gradient, plain.gradient(x, shard))


@pytest.mark.parametrize("other", [1.0, -0.0])
def test_a_gradient_of_another_point_is_no_answer(other: float) -> None:
    """Nor is one whose zero has the other sign: the gradient may have other bits."""
    x, y = np.zeros(8), np.zeros(8)
    y[3] = other
    group = group_of(LocalRun(regression_plan()))
    group.audit(x)
    with counted_gradients() as calls:
        group.reply(0, Query((y,)))
    assert len(calls) == 2
    with counted_gradients() as calls:
        group.reply(1, Query((x,)))  # forgotten
    assert len(calls) == 2


def test_no_more_gradients_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_group, "MOST_KEPT", 4 * 64 + 63)
    local = LocalRun(regression_plan())
    x = np.ones(8)
    assert np.count_nonzero(local.cluster._group.audit(x)[0][:, -1]) == 4
    with counted_gradients() as calls:
        local.ask(0, Query((x,)))
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("table", "pays"),
    [
        ({}, False),
        ({"problem": {"kind": "matrix-factorisation", "columns": 6250}}, False),
        ({"problem": {"kind": "matrix-factorisation", "columns": 6251}}, True),  # ten rows of 8, each 6251 times
    ],
)
def test_threads_pay_if_a_gradient_is_much_work(
    table: dict[str, Any], pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_group, "_MUCH", 500_000)
    group = LocalRun(regression_plan(**table)).cluster._group
    assert group.works() == pays
    group.set_workers([], range(6))
    assert not group.works()


def test_each_thread_has_a_sum_of_its_own() -> None:
    sums = worker_group._Sums(3)
    sums.mine().add(np.ones(3))
    with ThreadPoolExecutor(1) as other:
        other.submit(lambda: sums.mine().add(np.arange(3.0))).result()
    np.testing.assert_array_equal(sums.mine().total(), 1.0)
    np.testing.assert_array_equal(sums.total().total(), [1.0, 2.0, 3.0])


def test_the_first_that_fails_is_named_in_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRun(regression_plan())
    group = WorkerGroup(local.config, local.workers, lambda _: [])

    def failing(*_: Any) -> Vector:
        raise ValueError("no")

    monkeypatch.setattr(LeastSquares, "gradient", failing)
    monkeypatch.setattr(LeastSquares, "value_and_gradient", failing)
    threads.use(3)
    try:
        for ask in (lambda: group.reply(0, Query((local.x0,))), lambda: group.audit(local.x0)):
            with pytest.raises(WorkerFault, match="ValueError: no") as caught:
                ask()
            assert caught.value.worker == 0
    finally:
        threads.use(1)


@contextmanager
def counted_gradients() -> Iterator[list[Vector]]:
    """The points at which a gradient is computed."""
    calls: list[Vector] = []
    gradient = LeastSquares.gradient

    def counted(self: LeastSquares, x: Vector, shard: Shard) -> Vector:
        calls.append(x)
        return gradient(self, x, shard)

    with patch.object(LeastSquares, "gradient", counted):
        yield calls
