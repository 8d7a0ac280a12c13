"""The contract of rules that may remember: pure verdicts, a memory in units of the answer, kept by what wraps it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.base import Aggregator, Context, bound, remembers_workers
from mpirobust.aggregators.nnm import NNM
from mpirobust.algorithms.base import Query
from mpirobust.answers import Answers, ArrayAnswers
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.testing.examples import components
from mpirobust.testing.support.judging import judged, oracle
from mpirobust.testing.support.noting import Note, Noting
from mpirobust.testing.support.rule_rounds import vectors
from mpirobust.testing.test_aggregators import admits

ALL: dict[str, Aggregator] = components("aggregator")
REMEMBERING = {name: rule for name, rule in ALL.items() if rule.memory() is not None}
TRIMMING = {name: rule for name, rule in ALL.items() if rule.trims(20) is not None}

each = pytest.mark.parametrize("rule", ALL.values(), ids=ALL.keys())
remembering = pytest.mark.parametrize("rule", REMEMBERING.values(), ids=REMEMBERING.keys())
trimming = pytest.mark.parametrize("rule", TRIMMING.values(), ids=TRIMMING.keys())


def answers(t: int, scale: float = 1.0, hostile: float = 1.0) -> Answers:
    """Return the answers of round t; one in eleven is unsound, and that of worker 5 `hostile` times its own."""
    rows = vectors(11, 9, seed=t)
    rows[5] *= hostile
    rows[t % 11] = np.nan
    return ArrayAnswers(rows, scale=scale)


def values(memory: Any) -> list[Any]:
    return [getattr(memory, each.name) for each in fields(memory)]


def bits(memory: Any) -> list[bytes]:
    return [np.asarray(value).tobytes() for value in values(memory)] if memory is not None else []


def after(rule: Aggregator, rounds: int, hostile: float = 1.0) -> Any:
    """The memory after some rounds."""
    memory = None
    for t in range(rounds):
        memory = judged(rule, answers(t, hostile=hostile), memory).memory
    return memory


def test_some_rules_remember_and_one_of_them_is_wrapped() -> None:
    assert {type(rule).__name__ for rule in REMEMBERING.values()} >= {"CenteredClipping", "NNM"}


@each
def test_a_verdict_has_the_memory_that_its_rule_names(rule: Aggregator) -> None:
    wanted, memory, shapes = rule.memory(), None, [(9,), (11,), (11, 9)]
    for t in range(4):
        memory = judged(rule, answers(t), memory).memory
        assert type(memory) is (wanted or type(None))
        for value in values(memory) if wanted else []:
            if isinstance(value, np.ndarray):
                assert value.shape in (shapes if remembers_workers(rule) else [(9,)])
                assert value.dtype == np.float64
                assert np.isfinite(value).all()
            else:
                assert type(value) in (int, float, bool)


@remembering
def test_a_memory_is_a_frozen_dataclass_that_matters(rule: Aggregator) -> None:
    memory = after(rule, 3, hostile=-30.0)
    with pytest.raises(FrozenInstanceError):
        setattr(memory, fields(memory)[0].name, None)
    first, later = judged(rule, answers(3)), judged(rule, answers(3), memory)
    assert np.abs(first.step - later.step).max() > 1e-9


@each
def test_the_same_question_has_the_same_verdict(rule: Aggregator) -> None:
    """An attacker may ask before the center does: nothing is kept but what the verdict holds."""
    memory, context = after(rule, 3), Context(7, Query((np.ones(9),)), seed=3, oracle=oracle(9))
    kept = bits(memory)
    for value in values(memory) if memory is not None else []:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    judge = bound(rule, memory, context)
    one = judge(answers(3))
    judge(answers(4))
    two = judge(answers(3))
    assert one.step.tobytes() == two.step.tobytes()
    np.testing.assert_array_equal(one.kept, two.kept)
    assert bits(one.memory) == bits(two.memory)
    assert bits(memory) == kept


@remembering
@pytest.mark.parametrize("scale", [0.5, 0.1, 3.0])
def test_a_memory_is_in_units_of_the_answer(rule: Aggregator, scale: float) -> None:
    """A step size that changes between the rounds changes no memory, and the step in proportion."""
    one = other = None
    for t in range(4):
        plain = judged(rule, answers(t), one)
        scaled = judged(rule, answers(t, scale if t % 2 else 1.0), other)
        one, other = plain.memory, scaled.memory
        np.testing.assert_allclose(scaled.step, plain.step * (scale if t % 2 else 1.0), rtol=1e-7)
        for value, expected in zip(values(other), values(one), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-7)


@remembering
def test_a_round_without_a_sound_answer_forgets_nothing(rule: Aggregator) -> None:
    nothing = ArrayAnswers(np.full((11, 9), np.nan))
    assert judged(rule, nothing).memory is None
    memory = after(rule, 3)
    verdict = judged(rule, nothing, memory)
    assert bits(verdict.memory) == bits(memory)
    assert not verdict.step.any()
    assert not verdict.kept.any()


@pytest.mark.parametrize("depth", [1, 2])
def test_a_rule_around_a_rule_passes_memory_and_context(depth: int) -> None:
    inner = Noting()
    rule: Aggregator = inner
    for _ in range(depth):
        rule = NNM(beta=0.2, rule=rule)
    assert rule.memory() is Note
    memory: Any = None
    for t in range(3):
        context = Context(t, Query((np.ones(9),)), seed=5)
        verdict = rule.judge(answers(t), memory, context)
        assert verdict.memory == Note(t)
        assert inner.asked[-1] == (memory, context)
        memory = verdict.memory


def test_the_stream_of_a_rule_is_of_its_round_and_begins_anew() -> None:
    context = Context(3, None, seed=11)
    expected = stream(11, CENTER, 3, Purpose.AGGREGATE).random(4).tolist()
    assert context.stream().random(4).tolist() == context.stream().random(4).tolist() == expected
    assert Context(4, None, seed=11).stream().random() != expected[0]
    assert Context(3, None, seed=12).stream().random() != expected[0]


@trimming
def test_as_many_are_dropped_as_the_rule_says_and_those_are_the_longest(rule: Aggregator) -> None:
    for m in (1, 2, 7, 10, 25, 100):
        if not admits(rule, m, 0):
            continue
        dropped = rule.trims(m)
        assert dropped is not None
        said = vectors(m, 9, seed=m)
        kept = judged(rule, ArrayAnswers(said)).kept
        assert kept.sum() == m - dropped
        assert set(np.flatnonzero(~kept)) == set(np.argsort(np.linalg.norm(said, axis=1))[m - dropped :])
        if dropped:  # what is unsound counts among them
            said[np.flatnonzero(kept)[0]] = np.nan
            assert judged(rule, ArrayAnswers(said)).kept.sum() == m - dropped


@each
def test_a_rule_that_does_not_trim_says_so_for_every_number(rule: Aggregator) -> None:
    assert len({rule.trims(m) is None for m in (1, 7, 20, 100)}) == 1
