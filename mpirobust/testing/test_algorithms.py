"""The contract of every algorithm: five pure verbs over a state that is all there is to remember."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.base import Verdict
from mpirobust.algorithms.base import State
from mpirobust.observers.base import Moment
from mpirobust.plan import Plan
from mpirobust.records import checkpoint
from mpirobust.records.trace import Trace
from mpirobust.running import rounds
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.examples import EXAMPLES
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.shards import contents
from mpirobust.testing.support.witness import Witness, ran
from mpirobust.types import Vector

PLANS: dict[str, Plan] = {
    "-".join([kind, *(f"{key}={value}" for key, value in settings.items())]): regression_plan(
        algorithm={"kind": kind, **settings},
        aggregator={"kind": "trimmed-mean", "beta": 0.3},
        attack={"kind": "gaussian", "alpha": 0.3},
    )
    for kind, examples in EXAMPLES["algorithm"].items()
    for settings in examples
}
ASKING = {name: plan for name, plan in PLANS.items() if plan.algorithm.asks_gradients(10)}  # rows of a worker
each = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def values(state: Any) -> list[Any]:
    return [getattr(state, field.name) for field in fields(state)]


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and all(
        np.array_equal(a, b) for a, b in zip(values(one), values(other), strict=True)
    )


def sealed(vector: Vector) -> Vector:
    """The same numbers, not to be written to."""
    copy = vector.copy()
    copy.flags.writeable = False
    return copy


def states(plan: Plan) -> list[State]:
    return [moment.state for moment in ran(LocalRun(plan)).moments]


@each
def test_does_no_more_than_its_rounds(plan: Plan) -> None:
    found = states(plan)
    assert 2 <= len(found) <= plan.algorithm.rounds + 1
    assert [plan.algorithm.finished(state) for state in found] == [False] * (len(found) - 1) + [True]
    assert not np.array_equal(found[0].x, found[-1].x)


@each
def test_state_is_frozen_and_made_of_arrays_and_numbers(plan: Plan) -> None:
    for state in states(plan):
        assert type(state) is plan.algorithm.state
        for value in values(state):
            if isinstance(value, np.ndarray):
                assert (value.dtype, value.ndim) == (np.dtype(np.float64), 1)
            else:
                assert type(value) in (int, float, bool)
        for field in fields(state):
            with pytest.raises(FrozenInstanceError):
                setattr(state, field.name, getattr(state, field.name))


@each
def test_goes_on_from_a_checkpoint_of_any_round(plan: Plan, tmp_path: Path) -> None:
    whole = ran(LocalRun(plan)).moments
    tail = Trace(plan.workers, np.array([1]), {}).tail()
    for at, moment in enumerate(whole):
        local, rest = LocalRun(plan), Witness()
        checkpoint.save(tmp_path, checkpoint.Snapshot(at, moment.state, tail), "plan", local.memories(at))
        schema = checkpoint.Schema(plan.algorithm.state, "plan")
        state = checkpoint.load(tmp_path / f"checkpoint-{at:09d}.h5", schema).state
        assert same(state, moment.state)
        if at % 4 == 1:
            rounds.loop(plan.algorithm, plan.aggregator, local.cluster, [rest], state, at, plan.seed)
            assert len(rest.moments) == len(whole) - at
            assert same(rest.moments[-1].state, whole[-1].state)


@each
def test_advance_leaves_state_and_verdict_alone_and_draws_from_its_stream_only(plan: Plan) -> None:
    moments: list[Moment] = ran(LocalRun(plan)).moments
    for before, after in pairwise(moments):
        assert after.verdict is not None
        named = zip(fields(before.state), values(before.state), strict=True)
        arrays = {field.name: sealed(value) for field, value in named if isinstance(value, np.ndarray)}
        state, verdict = replace(before.state, **arrays), Verdict(sealed(after.verdict.step), after.verdict.kept)
        again = plan.algorithm.advance(state, verdict, stream(plan.seed, CENTER, before.round, Purpose.ADVANCE))
        assert same(again, after.state)
        assert same(state, before.state)


@pytest.mark.parametrize("plan", ASKING.values(), ids=ASKING.keys())
def test_an_algorithm_that_asks_gradients_gets_those_of_the_loss(plan: Plan) -> None:
    local = LocalRun(plan)
    shard, loss = local.workers[0].clean, local.config.loss
    for state in states(plan)[:-1]:
        query, rng = plan.algorithm.query(state), stream(5, 0, 0, Purpose.ANSWER)
        (x,) = query.vectors
        answer = plan.algorithm.answer(query, loss, shard, rng)
        assert answer.tobytes() == loss.gradient(x, shard).tobytes()
        assert rng.bytes(8) == stream(5, 0, 0, Purpose.ANSWER).bytes(8)


@each
def test_answer_is_a_new_vector_and_a_function_of_its_arguments(plan: Plan) -> None:
    local = LocalRun(plan)
    shard = local.workers[0].clean
    before = contents(shard)
    for state in states(plan)[:-1]:
        query = plan.algorithm.query(state)
        assert query.scale > 0
        assert all(vector.shape == state.x.shape for vector in query.vectors)
        query = replace(query, vectors=tuple(map(sealed, query.vectors)))
        one, other = (
            plan.algorithm.answer(query, local.config.loss, shard, stream(5, 0, 0, Purpose.ANSWER)) for _ in range(2)
        )
        assert one.shape == state.x.shape
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)
        one += 1  # it is the worker's own
        assert not any(np.shares_memory(one, vector) for vector in query.vectors)
    assert contents(shard) == before
