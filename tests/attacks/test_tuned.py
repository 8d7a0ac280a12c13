from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.aggregators.base import Aggregator, Context, Judge, Verdict, bound
from mpirobust.aggregators.caf import CAF
from mpirobust.aggregators.geometric_median import GeometricMedian
from mpirobust.aggregators.krum import Krum
from mpirobust.aggregators.mean import Mean
from mpirobust.aggregators.norm_trim import NormTrim
from mpirobust.aggregators.trimmed_mean import TrimmedMean
from mpirobust.answers import Answers
from mpirobust.api.runs import run
from mpirobust.attacks.alie import Alie
from mpirobust.attacks.base import MessageAttack, Spy, Tunable
from mpirobust.attacks.collude import Collude
from mpirobust.attacks.drift import Drift
from mpirobust.attacks.ipm import Ipm
from mpirobust.attacks.min_max import MinMax
from mpirobust.attacks.shift import Shift
from mpirobust.attacks.tuned import Tuned
from mpirobust.components import component
from mpirobust.compressors.qsgd import QSGD
from mpirobust.errors import PlanFault
from mpirobust.plan import Plan
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.witness import ran
from mpirobust.types import Message, Vector

INNER = [
    Alie(alpha=0.2),
    Ipm(alpha=0.2),
    Collude(alpha=0.2),
    Shift(alpha=0.2),
    MinMax(alpha=0.2),
    Drift(alpha=0.2),
]
RULES: list[Aggregator] = [
    Mean(),
    NormTrim(beta=0.2),
    TrimmedMean(beta=0.2),
    GeometricMedian(),
    Krum(beta=0.2),
    CAF(beta=0.2),
]


class Asked:
    """A rule that remembers what it was asked."""

    def __init__(self, rule: Aggregator) -> None:
        self.steps: list[Vector] = []
        self._judge = bound(rule, None, Context())

    def __call__(self, answers: Answers) -> Verdict:
        verdict = self._judge(answers)
        self.steps.append(verdict.step)
        return verdict


def game(inner: Tunable, judge: Judge, m: int = 20, **more: Any) -> Round:
    fields = {key: more.pop(key) for key in ("aim", "evaluations", "least", "most") if key in more}
    made = Round(Tuned(alpha=inner.alpha, inner=inner, **fields), vectors(m, 9), **more)
    made.judge = judge
    return made


def found(of: Round, judge: Judge) -> tuple[Vector, Vector, float]:
    """The step after the attack, that of the honest alone, and the strength."""
    sent = of.forged()
    honest = of.decoded(of.due, of.honest).mean(axis=0)
    return judge(of.inbox(sent)).step, honest, of.receiver.strength


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("inner", INNER, ids=lambda inner: type(inner).__name__)
def test_harms_no_less_than_the_attack_as_it_is(rule: Aggregator, inner: Tunable) -> None:
    judge = bound(rule, None, Context())
    for more in ({}, {"compressor": QSGD(levels=2)}, {"compressor": QSGD(levels=2), "states": vectors(20, 9, seed=1)}):
        for aim in ("distance", "descent"):
            one = Round(inner, vectors(20, 9), **more)
            plain = judge(one.inbox(one.forged())).step
            tuned, honest, strength = found(game(inner, judge, aim=aim, evaluations=9, **more), judge)
            if aim == "distance":
                assert np.linalg.norm(tuned - honest) >= np.linalg.norm(plain - honest) * (1 - 1e-12)
            else:
                assert tuned @ honest <= plain @ honest + 1e-12
            assert np.isfinite(strength)


def test_what_is_sent_is_what_the_rule_was_asked_about() -> None:
    """With the very draws of the code, so that the harm that was found is done."""
    asked = Asked(TrimmedMean(beta=0.2))
    tuned = game(Alie(alpha=0.2), asked, compressor=QSGD(levels=1))
    sent = tuned.forged()
    searched = list(asked.steps)
    honest = tuned.decoded(tuned.due, tuned.honest).mean(axis=0)
    done = np.linalg.norm(asked(tuned.inbox(sent)).step - honest)
    assert done == max(np.linalg.norm(step - honest) for step in searched)


@pytest.mark.parametrize("evaluations", [9, 10, 32, 33])
@pytest.mark.parametrize("m", [10, 40])
def test_the_rule_is_asked_so_often_a_round_however_many_attack(evaluations: int, m: int) -> None:
    asked = Asked(NormTrim(beta=0.2))
    game(Collude(alpha=0.2), asked, m, evaluations=evaluations).forged()
    assert len(asked.steps) == evaluations


def test_the_workers_of_a_search_send_the_same() -> None:
    tuned = game(Alie(alpha=0.2), bound(CAF(beta=0.2), None, Context()))
    sent = tuned.forged()
    assert len({bytes(sent[worker]) for worker in tuned.config.byzantine}) == 1


@pytest.mark.parametrize("beta", [0.2, 0.3])
def test_finds_the_cut_of_norm_trimming(beta: float) -> None:
    """Whose best colluder is known in closed form: just below the ⌈βm⌉-th longest honest norm."""
    judge = bound(NormTrim(beta=beta), None, Context())
    tuned = game(Collude(alpha=0.2), judge, aim="descent", evaluations=60)
    norms = np.linalg.norm(tuned.decoded(tuned.due, tuned.honest), axis=1)
    cut = np.sort(norms)[-round(beta * 20)] / np.median(norms)
    _, _, strength = found(tuned, judge)
    assert 0.999 * cut < strength < cut


@pytest.mark.parametrize("turned", [1.0, -1.0])
def test_both_signs_are_tried(turned: float) -> None:
    """Against rules that see only one of them."""
    honest = vectors(20, 9)
    attack = Tuned(alpha=0.2, inner=Ipm(alpha=0.2))
    one = Round(attack, honest)
    mean = honest[one.honest].mean(axis=0)

    def judge(answers: Answers) -> Verdict:
        rows = np.concatenate([block.copy() for _, block in answers.blocks(np.arange(20))], axis=1)
        kept = turned * (rows @ mean) <= 0
        kept[one.honest] = True
        return Verdict(answers.average(kept), kept)

    one.judge = judge
    one.forged()
    assert one.receiver.strength == pytest.approx(100 * turned)


@pytest.mark.parametrize(("aim", "strength"), [("distance", 100.0), ("descent", 100.0)])
def test_against_the_mean_the_farther_the_better(aim: str, strength: float) -> None:
    """||step - honest|| = α (1 + ε) ||mean||, larger for ε = 100 than for -100."""
    _, _, best = found(game(Ipm(alpha=0.2), bound(Mean(), None, Context()), aim=aim), bound(Mean(), None, Context()))
    assert best == pytest.approx(strength)


def test_where_nothing_harms_the_plans_strength_stays() -> None:
    def deaf(answers: Answers) -> Verdict:
        return Verdict(np.zeros(9), np.zeros(len(answers), dtype=bool))

    tuned = game(Ipm(alpha=0.2, epsilon=0.7), deaf)
    tuned.forged()
    assert tuned.receiver.strength == 0.7


@component
class Watching(MessageAttack):
    """Sends what is due, so that the mean of all messages is near that of the honest; asks for the step of both."""

    told: list[tuple[Vector, Vector]]

    def forge(self, worker: int, spy: Spy, rng: np.random.Generator) -> bytes:
        return b""

    def remember(self, spy: Spy, sent: Sequence[Message]) -> Any:
        self.told.append((spy.judge(sent), spy.honest_step))


@pytest.mark.parametrize("weigh", ["equal", "rows"])
@pytest.mark.parametrize("feedback", ["none", "residual", "difference"])
def test_the_honest_step_is_that_of_the_mean_over_honest_workers(feedback: str, weigh: str) -> None:
    """In the units in which the rule steps, whoever applies the step size, and weighed as it weighs."""
    data = {"kind": "regression", "rows": 61, "features": 8, "noise": 0.3}
    plan = regression_plan(feedback=feedback, weigh=weigh, data=data)
    attack = Watching(alpha=0.34, told=[])
    ran(LocalRun(replace(plan, attack=attack)))
    assert len(attack.told) == 30
    for step, honest in attack.told:
        assert step.any()
        np.testing.assert_allclose(honest, step, rtol=1e-9, atol=1e-13)


def tuned_plan(**fields: Any) -> Plan:
    attack = {"kind": "tuned", "alpha": 0.34, "inner": {"kind": "alie"}, "evaluations": 9, **fields}
    return regression_plan(attack=attack)


def test_the_inner_attack_has_the_alpha_of_the_search() -> None:
    plan = tuned_plan()
    assert isinstance(plan.attack, Tuned)
    assert plan.attack.inner.alpha == 0.34
    assert Plan.of(plan.table()) == plan
    assert plan.table()["attack"]["inner"] == {"kind": "alie"}  # so that --set attack.alpha=0.1 is of both
    assert tuned_plan(inner={"kind": "alie", "alpha": 0.34}) == plan


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"inner": {"kind": "alie", "alpha": 0.3}}, "attack.inner.alpha"),
        ({"inner": {"kind": "sign-flip"}}, "attack.inner.kind"),
        ({"inner": {"kind": "mimic"}}, "attack.inner.kind"),
        ({"inner": {"kind": "alie", "speed": 3}}, "attack.inner.speed"),
        ({"least": 100.0}, "attack.most"),
        ({"evaluations": 8}, "attack.evaluations"),
    ],
    ids=lambda value: str(value),
)
def test_what_cannot_be_searched_is_refused(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(PlanFault) as caught:
        tuned_plan(**fields)
    assert caught.value.where == where


def test_a_trace_has_the_strength_of_each_round(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], float]] = [
        ({"kind": "tuned", "alpha": 0.34, "inner": {"kind": "collude"}, "evaluations": 9, "most": 50.0}, 50.0),
        ({"kind": "ipm", "alpha": 0.34, "epsilon": 0.3}, 0.3),
        ({"kind": "mimic", "alpha": 0.34}, np.nan),
        ({"kind": "ipm", "alpha": 0.0}, np.nan),
    ]
    for attack, told in cases:
        plan = regression_plan(attack=attack, algorithm={"kind": "first-order", "rounds": 3, "step": 0.01})
        found = run(plan, out=tmp_path / attack["kind"] / str(attack["alpha"]))
        np.testing.assert_allclose(found.rounds["strength"], [told] * 3, rtol=1e-9)
