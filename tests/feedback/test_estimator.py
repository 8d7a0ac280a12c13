"""A feedback of another kind than those of the package runs through worker group and center as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.answers import ArrayAnswers
from mpirobust.feedback.none import NoFeedback
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.marina import Marina
from mpirobust.testing.support.witness import ran
from mpirobust.types import Vector


def run_of(chance: float = 0.3, **changes: Any) -> LocalRun:
    return LocalRun(replace(regression_plan(**changes), feedback=Marina(chance=chance)))


def in_full(round: int) -> bool:
    return bool(stream(5, CENTER, round, Purpose.COIN).random() < 0.3)


def points(rounds: int) -> list[Vector]:
    return [np.random.default_rng(t).standard_normal(8) for t in range(rounds)]


def test_workers_and_center_toss_the_same_coin() -> None:
    """What crosses is as long as the coin says: 8 float64, or two entries and where they stand."""
    local = run_of(compressor={"kind": "topk", "k": 2})
    lengths = [local.ask(t, Query((x,))).bytes_up // 6 for t, x in enumerate(points(20))]
    assert lengths == [64 if in_full(t) else 9 for t in range(20)]
    assert set(lengths) == {9, 64}
    assert local.config.wire.message_limit() == 64
    assert local.config.lengths_vary


@pytest.mark.parametrize("batch", [None, 3])
def test_the_same_question_is_asked_on_the_same_rows(batch: int | None) -> None:
    """A difference of two gradients on one minibatch: without compression the telescope is exact for each batch."""
    algorithm = {"kind": "first-order", "rounds": 30, "step": 0.1, **({"batch": batch} if batch else {})}
    local = run_of(algorithm=algorithm)
    former: list[Vector] = [np.zeros(8)] * 6
    estimates = np.zeros((6, 8))
    for t, x in enumerate(points(12)):
        answers = local.ask(t, Query((x,))).answers
        for worker in local.workers:
            g, before = (
                local.plan.algorithm.answer(
                    Query((at,)), local.config.loss, worker.clean, stream(5, worker.index, t, Purpose.ANSWER)
                )
                for at in (x, former[worker.index])
            )
            estimates[worker.index] = g if in_full(t) else estimates[worker.index] + g - before
            former[worker.index] = x
            np.testing.assert_array_equal(worker.memory["point"], x)
        np.testing.assert_allclose(list(local.cluster.memory("estimate", t + 1)), estimates, rtol=1e-10, atol=1e-12)
        assert isinstance(answers, ArrayAnswers)
        np.testing.assert_allclose(answers.norms, np.linalg.norm(estimates, axis=1), rtol=1e-10)


def test_always_in_full_it_is_no_feedback_at_all() -> None:
    always = ran(run_of(1.0)).iterates
    plain = ran(LocalRun(replace(regression_plan(), feedback=NoFeedback()))).iterates
    np.testing.assert_allclose(always, plain, rtol=1e-12, atol=1e-14)


def test_it_converges_where_compression_alone_does_not() -> None:
    code = {"kind": "topk", "k": 2}
    rule, algorithm = {"kind": "norm-trim", "beta": 0.0}, {"kind": "first-order", "rounds": 300, "step": 0.1}
    local = run_of(compressor=code, aggregator=rule, algorithm=algorithm)
    plain = LocalRun(regression_plan(compressor=code, aggregator=rule, algorithm=algorithm))
    ours, theirs = (run.cluster.audit(ran(run).iterates[-1]).gradient_norm for run in (local, plain))
    assert ours < 1e-6
    assert theirs > 1e-3


@pytest.mark.parametrize("kind", ["ipm", "collude"])
def test_an_omniscient_attacker_aims_in_both_kinds_of_rounds(kind: str) -> None:
    local = run_of(attack={"kind": kind, "alpha": 0.4})
    rounds = set()
    for t, x in enumerate(points(8)):
        local.ask(t, Query((x,)))
        estimates = np.array(list(local.cluster.memory("estimate", t + 1)))
        honest = estimates[~local.byzantine].mean(axis=0)
        for estimate in estimates[local.byzantine]:
            cosine = estimate @ honest / (np.linalg.norm(estimate) * np.linalg.norm(honest))
            np.testing.assert_allclose(cosine, -1, rtol=1e-9)
        rounds.add(in_full(t))
    assert rounds == {False, True}
