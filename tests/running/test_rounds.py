"""The round loop against what the papers say it computes, with center and workers in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Algorithm
from mpirobust.algorithms.first_order import Iterate
from mpirobust.answers import Inbox
from mpirobust.observers.base import Moment, Status
from mpirobust.observers.finite import FiniteWatch
from mpirobust.running import rounds
from mpirobust.streams import Purpose, stream
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.codes import drawn
from mpirobust.testing.support.witness import Witness, falls_silent, first_order, gradient_descent, ran
from mpirobust.types import Message, Norm, Vector


@pytest.fixture(autouse=True)
def _as_in_a_run() -> Iterator[None]:
    """`experiment.run` lets numbers overflow: a diverging run is told by its status."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield


@pytest.mark.parametrize("aggregator", [{"kind": "mean"}, {"kind": "norm-trim", "beta": 0.0}], ids=["mean", "beta=0"])
def test_without_trimming_and_compression_it_is_gradient_descent(aggregator: dict[str, Any]) -> None:
    local = LocalRun(regression_plan(aggregator=aggregator))
    witness = ran(local)
    assert witness.status is Status.FINISHED
    assert [moment.round for moment in witness.moments] == list(range(31))
    np.testing.assert_allclose(witness.iterates, gradient_descent(local, [0.1] * 30), rtol=1e-12, atol=1e-13)
    assert np.linalg.norm(witness.iterates[-1] - witness.iterates[0]) > 1


@pytest.mark.parametrize("option", ["I", "II"])
def test_the_options_differ_in_what_is_measured_only(option: str) -> None:
    local = LocalRun(regression_plan(algorithm=first_order(option=option)))
    np.testing.assert_allclose(ran(local).iterates, gradient_descent(local, [0.1] * 30), rtol=1e-12, atol=1e-13)


def test_residual_feedback_without_compression_changes_nothing() -> None:
    local = LocalRun(regression_plan(feedback="residual"))
    np.testing.assert_allclose(ran(local).iterates, gradient_descent(local, [0.1] * 30), rtol=1e-12, atol=1e-13)
    assert all(not residual.any() for residual in local.cluster.memory("residual", 30))


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({"schedule": "constant"}, [0.1, 0.1, 0.1, 0.1]),
        ({"schedule": "inverse-sqrt"}, [0.1, 0.1 / 2**0.5, 0.1 / 3**0.5, 0.05]),
    ],
    ids=["constant", "inverse-sqrt"],
)
@pytest.mark.parametrize("feedback", ["none", "residual"])
def test_schedules(fields: dict[str, Any], steps: list[float], feedback: str) -> None:
    local = LocalRun(regression_plan(algorithm=first_order(rounds=4, **fields), feedback=feedback))
    np.testing.assert_allclose(ran(local).iterates, gradient_descent(local, steps), rtol=1e-12, atol=1e-13)


def test_inverse_smoothness_divides_by_the_largest_eigenvalue() -> None:
    local = LocalRun(regression_plan(algorithm=first_order(rounds=4, step=0.5, schedule="inverse-smoothness")))
    X = local.dataset.train(np.arange(60)).X
    L = np.linalg.eigvalsh(X.T @ X / 60).max()
    witness = ran(local)
    smoothness = [moment.state.smoothness for moment in witness.moments if isinstance(moment.state, Iterate)]
    np.testing.assert_allclose(smoothness, [L] * 5, rtol=1e-2)
    assert len(set(smoothness)) == 1
    steps = [0.5 / smoothness[0]] * 4
    np.testing.assert_allclose(witness.iterates, gradient_descent(local, steps), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("radius", [0.5, 2.0])
def test_projection_keeps_the_iterate_in_the_ball(radius: float) -> None:
    free, bound = (
        ran(LocalRun(regression_plan(algorithm=first_order(step=0.3, **fields)))) for fields in ({}, {"radius": radius})
    )
    lengths = np.linalg.norm(bound.iterates, axis=1)
    assert (lengths <= radius * (1 + 1e-12)).all()
    assert lengths.max() > 0.99 * radius
    first = free.iterates[1]
    np.testing.assert_allclose(bound.iterates[1], first * min(1.0, radius / float(np.linalg.norm(first))), rtol=1e-12)


def test_projection_on_the_ball_around_the_start() -> None:
    """Gradient descent on the double well from 2 away of the origin, each iterate moved back into the ball."""
    changes: dict[str, Any] = {
        "data": {"kind": "none", "rows": 6, "features": 3},
        "problem": {"kind": "double-well", "start_norm": 2.0},
        "workers": 3,
        "algorithm": first_order(step=0.2, radius=0.3, around="start"),
    }
    iterates = np.array(ran(LocalRun(regression_plan(**changes))).iterates)
    away = np.linalg.norm(iterates - iterates[0], axis=1)
    assert away.max() == pytest.approx(0.3, rel=1e-12)
    assert np.linalg.norm(iterates, axis=1).min() > 1.5, "nowhere near the ball around the origin"
    local = LocalRun(regression_plan(**changes))
    for before, after in pairwise(iterates):
        free = before - 0.2 * local.plan.problem.gradient(before, local.dataset.train(np.arange(6))) - iterates[0]
        np.testing.assert_allclose(after, iterates[0] + free * min(1.0, 0.3 / np.linalg.norm(free)), rtol=1e-12)


@pytest.mark.parametrize("around", ["origin", "start"])
def test_a_ball_that_is_never_left_changes_nothing(around: str) -> None:
    ball = {"radius": 1e6, "around": around}
    free, bound = (ran(LocalRun(regression_plan(algorithm=first_order(**fields)))) for fields in ({}, ball))
    np.testing.assert_array_equal(free.iterates, bound.iterates)


def test_the_key_of_the_ball_is_new_to_older_plans() -> None:
    """A stored plan without it is the same plan as one that says where W always was."""
    plain, said, other = (
        regression_plan(algorithm=first_order(radius=1.0, **fields)).record().identity()
        for fields in ({}, {"around": "origin"}, {"around": "start"})
    )
    assert plain == said != other
    assert "around" not in plain


@pytest.mark.parametrize(
    "compressor",
    [{"kind": "topk", "k": 2}, {"kind": "l1-qsgd"}, {"kind": "randomk", "k": 3}],
    ids=["topk", "l1-qsgd", "randomk"],
)
@pytest.mark.parametrize("schedule", ["constant", "inverse-sqrt"])
def test_error_feedback_loses_nothing(compressor: dict[str, Any], schedule: str) -> None:
    """What was sent and what is left add up to what was answered, each answer times its step (P1 Alg. 2 l. 5)."""
    algorithm = first_order(schedule=schedule)
    local = LocalRun(regression_plan(feedback="residual", compressor=compressor, algorithm=algorithm))
    witness = ran(local)
    sent, answered = np.zeros((6, 8)), np.zeros((6, 8))
    for before, after in pairwise(witness.moments):
        t, query = before.round, local.plan.algorithm.query(before.state)
        for worker, message in enumerate(messages(after)):
            code = drawn(local.plan.compressor, 8, stream(5, worker, t, Purpose.SHARED))
            sent[worker] += code.decode(message)
            answer = stream(5, worker, t, Purpose.ANSWER)
            shard = local.workers[worker].clean
            answered[worker] += query.scale * local.plan.algorithm.answer(query, local.config.loss, shard, answer)
    left = np.array(list(local.cluster.memory("residual", 30)))
    assert np.linalg.norm(left) > 1e-3
    np.testing.assert_allclose(sent + left, answered, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(witness.iterates[-1], -sent.mean(axis=0), rtol=1e-10, atol=1e-12)


def test_without_feedback_there_is_nothing_left() -> None:
    local = LocalRun(regression_plan(compressor={"kind": "topk", "k": 2}))
    ran(local)
    assert local.memories(30) == {}
    assert all(not worker.memory for worker in local.workers)


def messages(moment: Moment) -> Sequence[Message]:
    """What crossed in the round before."""
    assert moment.exchange is not None
    assert isinstance(moment.exchange.answers, Inbox)
    return moment.exchange.answers.messages


def test_a_round_without_a_sound_message_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRun(regression_plan(aggregator={"kind": "norm-trim", "beta": 0.2}))
    falls_silent(monkeypatch, local.workers)
    witness = ran(local)
    assert witness.status is Status.FINISHED
    assert len(witness.moments) == 31
    for t in (3, 4, 5):
        assert witness.kept[t] == [False] * 6
        np.testing.assert_array_equal(witness.iterates[t + 1], witness.iterates[3])
        exchange = witness.moments[t + 1].exchange
        assert exchange is not None
        assert np.isinf(exchange.answers.norms).all()
        assert exchange.bytes_up == 0
    assert sum(witness.kept[6]) == 4
    assert not np.array_equal(witness.iterates[7], witness.iterates[6])


def test_a_huge_step_ends_as_diverged() -> None:
    local = LocalRun(regression_plan(algorithm=first_order(rounds=10_000, step=1e6)))
    witness = ran(local, FiniteWatch())
    assert witness.status is Status.DIVERGED
    assert len(witness.moments) < 200


def test_an_iterate_that_is_not_finite_is_diverged() -> None:
    local = LocalRun(regression_plan())
    exchange = local.ask(0, local.plan.algorithm.query(Iterate(local.x0, 0, 0.0)))
    for number, status in [(1e300, None), (np.nan, Status.DIVERGED), (-np.inf, Status.DIVERGED)]:
        state = Iterate(np.array([0, 0, 0, 0, 0, 0, 0, number]), 1, 0.0)
        assert FiniteWatch().before_first_round(Moment(1, state, local.cluster)) is status
        assert FiniteWatch().after_round(Moment(1, state, local.cluster, {}, exchange)) is status


@pytest.mark.parametrize(("silent", "status"), [(6, Status.DIVERGED), (5, Status.FINISHED)])
def test_a_round_without_a_sound_message_is_diverged(
    monkeypatch: pytest.MonkeyPatch, silent: int, status: Status
) -> None:
    """With the watch that every run has: too many for an attack, so the honest answers do not fit the wire."""
    local = LocalRun(regression_plan())
    falls_silent(monkeypatch, local.workers[:silent])
    witness = ran(local, FiniteWatch())
    assert witness.status is status
    assert witness.moments[-1].round == (4 if status is Status.DIVERGED else 30)


def test_a_status_before_the_first_round_ends_the_run_before_it() -> None:
    class Stop(Witness):
        def before_first_round(self, moment: Moment) -> Status | None:
            super().before_first_round(moment)
            return Status.CONVERGED

    witness = ran(LocalRun(regression_plan()), Stop())
    assert witness.status is Status.CONVERGED
    assert len(witness.moments) == 1


def test_the_first_status_wins_and_everybody_sees_the_round() -> None:
    class Stop(Witness):
        def __init__(self, said: Status) -> None:
            super().__init__()
            self.said = said

        def after_round(self, moment: Moment) -> Status | None:
            super().after_round(moment)
            return self.said if moment.round == 4 else None

    stops = Stop(Status.CONVERGED), Stop(Status.DIVERGED)
    witness = ran(LocalRun(regression_plan()), *stops)
    assert [each.status for each in (witness, *stops)] == [Status.CONVERGED] * 3
    assert [each.moments[-1].round for each in (witness, *stops)] == [4] * 3


def test_a_run_may_begin_in_the_middle() -> None:
    """From the state after some rounds on, the same bits: nothing else is remembered."""
    plan = regression_plan(
        algorithm=first_order(batch=3, schedule="inverse-sqrt"),
        compressor={"kind": "randomk", "k": 3},
        aggregator={"kind": "norm-trim", "beta": 0.34},
        attack={"kind": "gaussian", "alpha": 0.34},
    )
    whole, rest = ran(LocalRun(plan)), Witness()
    middle = whole.moments[11]
    rounds.loop(plan.algorithm, plan.aggregator, LocalRun(plan).cluster, [rest], middle.state, middle.round, plan.seed)
    np.testing.assert_array_equal(rest.iterates, whole.iterates[11:])
    assert rest.kept == whole.kept[11:]


def test_byzantine_noise_is_trimmed() -> None:
    local = LocalRun(
        regression_plan(
            aggregator={"kind": "norm-trim", "beta": 0.34},
            attack={"kind": "gaussian", "alpha": 0.34, "variance": 1e6},
        )
    )
    witness = ran(local)
    assert local.byzantine.sum() == 2
    assert not np.array(witness.kept)[:, local.byzantine].any()
    solution = local.dataset.solution()
    assert solution is not None
    assert np.linalg.norm(witness.iterates[-1] - solution) < 0.5 * np.linalg.norm(solution)


def test_the_ledger_counts_what_crosses() -> None:
    witness = ran(LocalRun(regression_plan(compressor={"kind": "l1-qsgd"}, algorithm=first_order(option="I"))))
    for moment in witness.moments[1:]:
        assert moment.exchange is not None
        assert moment.exchange.bytes_up == sum(map(len, messages(moment))) == 6 * (8 + 4 + 1)
        assert moment.exchange.bytes_down == 6 * (8 * 8 + 32)


class TestBatch:
    def answers(self, batch: int | None, rounds: int = 300) -> list[Vector]:
        plan = regression_plan(algorithm=first_order(batch=batch) if batch else first_order())
        local = LocalRun(plan)
        query = plan.algorithm.query(plan.algorithm.start(np.ones(8), local.cluster))
        shard = local.workers[0].clean
        return [
            plan.algorithm.answer(query, plan.problem, shard, stream(5, 0, t, Purpose.ANSWER)) for t in range(rounds)
        ]

    def test_is_right_on_average(self) -> None:
        full, sampled = self.answers(None, rounds=1)[0], np.array(self.answers(4))
        deviation = sampled.std(axis=0) / len(sampled) ** 0.5
        assert (deviation > 0).all()
        np.testing.assert_array_less(np.abs(sampled.mean(axis=0) - full), 5 * deviation)

    def test_draws_no_row_twice(self) -> None:
        """Nine of ten rows: what is missing from the mean of all is exactly one row."""
        shard = LocalRun(regression_plan()).workers[0].clean
        rows = [shard.take(np.array([row])) for row in range(10)]
        gradients = np.array([regression_plan().problem.gradient(np.ones(8), row) for row in rows])
        full, left_out = self.answers(None, rounds=1)[0], set()
        for answer in self.answers(9, rounds=60):
            distance = np.abs(gradients - (10 * full - 9 * answer)).max(axis=1)
            assert distance.min() < 1e-9
            left_out.add(int(distance.argmin()))
        assert left_out == set(range(10))

    @pytest.mark.parametrize("batch", [10, 11, 1000])
    def test_of_the_whole_shard_is_the_whole_shard(self, batch: int) -> None:
        for answer in self.answers(batch, rounds=3):
            np.testing.assert_array_equal(answer, self.answers(None, rounds=1)[0])


@pytest.mark.parametrize(("q", "order"), [(1, 1.0), (1.5, 1.5), (2, 2.0), (3, 3.0), ("inf", np.inf)])
@pytest.mark.parametrize("option", ["I", "II"])
def test_norm_of_first_order(q: float | str, order: float, option: str) -> None:
    algorithm: Algorithm[Any] = regression_plan(algorithm=first_order(q=q, option=option)).algorithm
    assert algorithm.norm() == Norm(order, claimed=option == "I")


def test_option_one_sends_the_norm_of_the_uncompressed_answer() -> None:
    plan = regression_plan(compressor={"kind": "l1-qsgd"}, algorithm=first_order(option="I"))
    local = LocalRun(plan)
    query = plan.algorithm.query(plan.algorithm.start(local.x0, local.cluster))
    norms = local.ask(0, query).answers.norms
    gradients = [plan.problem.gradient(local.x0, worker.clean) for worker in local.workers]
    np.testing.assert_array_equal(norms, np.sqrt([g @ g for g in gradients]))


def test_audit_is_of_all_clean_shards() -> None:
    local = LocalRun(regression_plan(attack={"kind": "negative", "alpha": 0.4}))
    pooled, x = local.dataset.train(np.arange(60)), np.linspace(-1, 1, 8)
    audit = local.cluster.audit(x)
    np.testing.assert_allclose(audit.loss, local.plan.problem.value(x, pooled), rtol=1e-12)
    gradient = local.plan.problem.gradient(x, pooled)
    np.testing.assert_allclose(audit.gradient_norm, np.linalg.norm(gradient), rtol=1e-12)
    assert np.isnan(audit.test_accuracy)
