"""What the center makes of the bytes of a round: the ledger, and its half of the feedback where workers are lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mpirobust.aggregators.base import Context, bound
from mpirobust.algorithms.base import Query
from mpirobust.answers import Inbox
from mpirobust.attacks.base import MessageAttack, Spy
from mpirobust.cluster.protocol import bytes_down
from mpirobust.cluster.receiver import RoundReceiver
from mpirobust.components import component
from mpirobust.round_times import RoundTimes
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Message


@component
class Brief(MessageAttack):
    """Sends one byte."""

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return b"\0"


def test_what_was_forged_is_counted_with_its_own_length() -> None:
    local = LocalRun(replace(regression_plan(compressor={"kind": "l1-qsgd"}), attack=Brief(alpha=0.34)))
    exchange = local.ask(0, Query((local.x0,)))
    assert isinstance(exchange.answers, Inbox)
    assert exchange.bytes_up == sum(map(len, exchange.answers.messages)) == 4 * (4 + 1) + 2 * 1


def test_nothing_goes_down_to_the_absent_and_nothing_comes_from_them() -> None:
    local = LocalRun(regression_plan())
    receiver, query = RoundReceiver(local.config, 6), Query((local.x0,))
    receiver.lose([1, 4], [])
    sent = [worker.reply(0, query)[0] if receiver.present[worker.index] else b"" for worker in local.workers]
    judge = bound(local.plan.aggregator, None, Context())
    exchange = receiver.exchange(0, query, judge, list(sent), RoundTimes())
    assert exchange.absent.tolist() == (~exchange.answers.sound).tolist() == [False, True, False, False, True, False]
    assert exchange.bytes_down == bytes_down(4, query) == 4 * (32 + 8 * 8)
    assert exchange.bytes_up == 4 * 8 * 8


def test_those_that_moved_begin_at_zero_and_the_others_keep_what_the_center_has() -> None:
    receiver = RoundReceiver(LocalRun(regression_plan(feedback="difference")).config, 6)
    receiver.restore("state", np.ones((6, 8)))
    receiver.lose([1], [3, 4])
    assert receiver.memory["state"].any(axis=1).tolist() == [True, True, True, False, False, True]
    assert np.flatnonzero(receiver.forgotten).tolist() == [3, 4]
    assert receiver.present.tolist() == [True, False, True, True, True, True]
    assert receiver.unreliable == 1


@pytest.mark.parametrize(
    ("feedback", "forgotten", "reset"),
    [("none", [], []), ("residual", [1, 3, 4], [3, 4]), ("difference", [3, 4], [3, 4])],
)
def test_what_was_lost_is_told_in_the_next_round_and_once(
    feedback: str, forgotten: list[int], reset: list[int]
) -> None:
    local = LocalRun(regression_plan(feedback=feedback))
    receiver, query = RoundReceiver(local.config, 6), Query((np.ones(8),))
    receiver.lose([1], [3, 4])
    assert np.flatnonzero(receiver.forgotten).tolist() == forgotten
    judge = bound(local.plan.aggregator, None, Context())
    empty: list[Message] = [b""] * 6
    first, second = (receiver.exchange(t, query, judge, empty, RoundTimes()).reset for t in range(2))
    assert (np.flatnonzero(first).tolist(), np.flatnonzero(second).tolist()) == (reset, [])
