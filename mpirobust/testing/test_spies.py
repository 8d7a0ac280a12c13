"""The contract of a spy: an attacker may ask the rule, which keeps nothing of that; what it remembers is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import Query
from mpirobust.attacks.base import Attack, DataAttack, MessageAttack, Spy
from mpirobust.attacks.stale import Former
from mpirobust.components import component
from mpirobust.feedback.base import Feedback
from mpirobust.plan import Plan
from mpirobust.testing.examples import components
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.marina import Marina
from mpirobust.testing.support.witness import ran
from mpirobust.types import Message, Vector

pytestmark = pytest.mark.usefixtures("as_in_a_run")

ATTACKS = {name: attack for name, attack in components("attack").items() if isinstance(attack, MessageAttack)}
REMEMBERING = {name: attack for name, attack in ATTACKS.items() if attack.memory() is not None}
FEEDBACKS: dict[str, Feedback] = {**components("feedback"), "of this test": Marina()}
RULES: dict[str, dict[str, Any]] = {
    "norm-trim": {"kind": "norm-trim", "beta": 0.34},
    "remembering": {"kind": "centered-clipping", "radius": 0.5, "start": "previous"},
    "wrapped": {"kind": "nnm", "beta": 0.33, "rule": {"kind": "centered-clipping", "radius": 0.5, "start": "previous"}},
}

over_feedbacks = pytest.mark.parametrize("feedback", FEEDBACKS.values(), ids=FEEDBACKS.keys())
over_rules = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


@dataclass
class Notes:
    """The answers that the attacker of a test was given, round by round."""

    steps: list[Vector]
    remembered: list[Any]


@component
class Curious(MessageAttack):
    """Sends the honest mean turned round; before that asks some times what would become of this and of that."""

    asks: int
    notes: Notes

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return spy.encode(worker, -spy.moments[0], rng)

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        for _ in range(self.asks):
            spy.judge(spy.due)
            spy.judge([b"" for _ in sent])
            self.notes.steps.append(spy.judge(sent))


def curious(asks: int, feedback: Feedback, rule: dict[str, Any], **changes: Any) -> tuple[LocalRun, Notes]:
    plan = regression_plan(aggregator=rule, compressor={"kind": "topk", "k": 3}, **changes)
    attack = Curious(alpha=0.34, asks=asks, notes=Notes([], []))
    return LocalRun(replace(plan, attack=attack, feedback=feedback)), attack.notes


@over_feedbacks
@over_rules
def test_what_the_rule_would_do_is_what_it_does(feedback: Feedback, rule: dict[str, Any]) -> None:
    """With these bytes, in this round: its memory, its step size and the state of the feedback as they are."""
    algorithm = {"kind": "first-order", "rounds": 12, "step": 0.3, "schedule": "inverse-sqrt"}
    local, notes = curious(1, feedback, rule, algorithm=algorithm)
    moments = ran(local).moments[1:]
    assert len(notes.steps) == len(moments) == 12
    for told, moment in zip(notes.steps, moments, strict=True):
        assert moment.verdict is not None
        assert told.tobytes() == moment.verdict.step.tobytes()
    assert len({step.tobytes() for step in notes.steps}) == 12


@over_feedbacks
@over_rules
def test_nothing_is_kept_of_a_question(feedback: Feedback, rule: dict[str, Any]) -> None:
    quiet, _ = curious(0, feedback, rule)
    asking, notes = curious(3, feedback, rule)
    expected, found = ran(quiet), ran(asking)
    np.testing.assert_array_equal(found.iterates, expected.iterates)
    assert found.kept == expected.kept
    for memory in feedback.memories():
        one, other = (np.array(list(run.cluster.memory(memory.name, 30))) for run in (quiet, asking))
        np.testing.assert_array_equal(one, other)
    assert len(notes.steps) == 90
    assert all(notes.steps[at].tobytes() == notes.steps[at + 1].tobytes() for at in range(0, 90, 3))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_what_is_remembered_is_of_the_class_that_is_named(attack: MessageAttack) -> None:
    game = Round(attack, vectors(10, 9))
    game.forged()
    memory = game.receiver.attack_memory
    assert type(memory) is (attack.memory() or type(None))
    for value in vars(memory).values() if memory is not None else ():
        if isinstance(value, np.ndarray):
            assert (value.shape, value.dtype) == ((9,), np.dtype(np.float64))
        else:
            assert type(value) in (int, float, bool)


@pytest.mark.parametrize("attack", REMEMBERING.values(), ids=REMEMBERING.keys())
def test_a_memory_is_frozen_and_matters_and_a_round_replaces_it(attack: MessageAttack) -> None:
    first, second = Round(attack, vectors(10, 9)), Round(attack, vectors(10, 9, seed=1))
    first.forged()
    memory = first.receiver.attack_memory
    with pytest.raises(FrozenInstanceError):
        setattr(memory, fields(memory)[0].name, None)
    unaware = second.forged()
    second.attack_memory = memory
    aware = second.forged()
    assert aware == second.forged()
    bad = second.config.byzantine
    assert all(bytes(aware[worker]) != bytes(unaware[worker]) for worker in bad)
    assert second.receiver.attack_memory is not memory


def test_stale_sends_the_honest_mean_of_the_round_before() -> None:
    local = LocalRun(regression_plan(attack={"kind": "stale", "alpha": 0.34}))
    means: list[Vector] = []
    for t in range(4):
        rows = local.ask(t, Query((np.full(8, 1.0 + t),))).answers
        vectors = np.concatenate([block.copy() for _, block in rows.blocks(np.arange(6))], axis=1)
        means.append(vectors[~local.byzantine].mean(axis=0))
        for forged in vectors[local.byzantine]:
            np.testing.assert_allclose(forged, means[max(t - 1, 0)], rtol=1e-12)
    np.testing.assert_array_equal(local.cluster.attack_memory.mean, means[-1])


def test_an_attacker_goes_on_from_a_memory_that_is_given_back() -> None:
    plan = regression_plan(attack={"kind": "stale", "alpha": 0.34, "factor": -1.0})
    whole = LocalRun(plan)
    for t in range(3):
        whole.ask(t, Query((np.full(8, 1.0 + t),)))
    resumed, forgetful = LocalRun(plan), LocalRun(plan)
    memory = whole.cluster.attack_memory
    resumed.cluster.restore_attack(Former(memory.mean.copy()))
    last = Query((np.full(8, 9.0),))
    norms = [run.ask(3, last).answers.norms.tolist() for run in (whole, resumed, forgetful)]
    assert norms[0] == norms[1] != norms[2]


def adhering(wanted: bool) -> dict[str, Attack]:
    """All but those that change the data only, whose workers are honest with what they have."""
    found = {name: attack for name, attack in components("attack").items() if not isinstance(attack, DataAttack)}
    return {name: attack for name, attack in found.items() if attack.adheres() is wanted}


@pytest.mark.parametrize("attack", adhering(True).values(), ids=adhering(True).keys())
def test_who_adheres_sends_the_code_of_some_vector(attack: Attack) -> None:
    """Under every code that a plan may have, as long as the answers are finite."""
    for plan in plans(attack):
        local = LocalRun(plan)
        assert local.byzantine.any()
        for t in range(3):
            answers = local.ask(t, Query((np.ones(local.config.wire.dim),))).answers
            assert answers.sound.all(), plan.compressor


def test_every_kind_that_does_not_adhere_is_caught_at_it() -> None:
    """By some code and some setting, in some rounds."""
    caught = set()
    for attack in adhering(False).values():
        for plan in plans(attack):
            local = LocalRun(plan)
            for t in range(3):
                answers = local.ask(t, Query((np.ones(local.config.wire.dim),))).answers
                if not answers.sound.all():
                    assert answers.sound[~local.byzantine].all()
                    caught.add(type(attack))
    assert caught == {type(attack) for attack in adhering(False).values()}


def plans(attack: Attack) -> list[Plan]:
    """A plan for each of some codes."""
    codes: list[dict[str, Any]] = [
        {"kind": "identity"},
        {"kind": "l1-qsgd"},
        {"kind": "topk", "k": 3},
        {"kind": "qsgd", "levels": 4},
        {"kind": "vqsgd", "samples": 5},
    ]
    return [replace(regression_plan(compressor=code), attack=attack) for code in codes]
