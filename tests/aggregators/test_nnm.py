from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust import catalog
from mpirobust.aggregators.base import Aggregator, Context, Verdict
from mpirobust.aggregators.nnm import NNM
from mpirobust.answers import Answers
from mpirobust.compressors.base import Compressor
from mpirobust.errors import PlanFault
from mpirobust.plan import Plan
from mpirobust.testing.support.judging import judged
from mpirobust.testing.support.rule_rounds import a_round, over_codes, over_dims, squared_distances, vectors
from mpirobust.types import Norm
from tests.support.plans import changed, fault

RULES: list[dict[str, Any]] = [
    {"kind": "mean"},
    {"kind": "norm-trim", "beta": 0.3},
    {"kind": "median"},
    {"kind": "trimmed-mean", "beta": 0.2},
    {"kind": "majority-vote"},
    {"kind": "multi-krum", "beta": 0.2},
    {"kind": "geometric-median"},
    {"kind": "centered-clipping", "radius": 2.0},
    {"kind": "median-of-means", "groups": 4},
]


@dataclass(frozen=True)
class _Look(Aggregator):
    """Takes a note of the norms that it is shown."""

    norms: list[NDArray[np.float64]]

    def judge(self, answers: Answers, memory: Any, context: Context) -> Verdict:
        self.norms.append(answers.norms)
        return Verdict(np.zeros(answers.dim), answers.sound)

    def tolerates(self) -> float | None:
        return None


def built(table: dict[str, Any]) -> Aggregator:
    rule = catalog.build(catalog.ROOMS["aggregator"], table, "aggregator")
    assert isinstance(rule, Aggregator)
    return rule


def nearest(said: NDArray[np.float64], f: int) -> NDArray[np.intp]:
    return np.argsort(squared_distances(said), axis=1, kind="stable")[:, : len(said) - f]


@over_codes
@over_dims
@pytest.mark.parametrize("table", RULES, ids=lambda table: table["kind"])
def test_the_rule_judges_means_of_neighbours(code: Compressor, dim: int, table: dict[str, Any]) -> None:
    box = a_round(vectors(14, dim), code, 0.5, silent=(13,))  # the last: groups go by number
    mixed = box.said[nearest(box.said, 3)].mean(axis=1) / 0.5
    verdict = judged(NNM(beta=0.2, rule=built(table)), box.inbox)
    expected = judged(built(table), a_round(np.vstack([mixed, mixed[:1]]), scale=0.5, silent=(13,)).inbox)
    np.testing.assert_allclose(verdict.step, expected.step, rtol=1e-5, atol=1e-5)  # iterated rules stop


@pytest.mark.parametrize("q", [1.0, 1.5, 2.0, 7.0, np.inf])
def test_the_mixed_are_measured_as_the_plan_asks(q: float) -> None:
    box = a_round(vectors(14, 20_000), scale=0.5, norm=Norm(q))
    mixed = box.said[nearest(box.said, 3)].mean(axis=1)
    longest = np.argsort(np.linalg.norm(mixed, q, axis=1))[-2:]
    look = _Look([])
    judged(NNM(beta=0.2, rule=look), box.inbox)
    np.testing.assert_allclose(look.norms[0], np.linalg.norm(mixed, q, axis=1) / 0.5, rtol=1e-12)
    step = judged(NNM(beta=0.2, rule=built({"kind": "norm-trim", "beta": 0.1})), box.inbox).step
    np.testing.assert_allclose(step, np.delete(mixed, longest, axis=0).mean(axis=0), rtol=1e-10, atol=1e-12)


def test_keeps_what_is_part_of_what_is_kept() -> None:
    box = a_round(vectors(14, 9), silent=(2,))
    verdict = judged(NNM(beta=0.3, rule=built({"kind": "krum", "beta": 0.1})), box.inbox)
    neighbours = nearest(box.said, 5)
    steps = box.said[neighbours].mean(axis=1)
    one = int(np.argmin(np.linalg.norm(steps - verdict.step, axis=1)))
    np.testing.assert_allclose(verdict.step, steps[one], rtol=1e-12, atol=1e-14)
    assert verdict.kept.tolist() == box.mask(neighbours[one])


def test_mixes_again() -> None:
    said = vectors(11, 9)
    once = said[nearest(said, 3)].mean(axis=1)
    twice = once[nearest(once, 2)].mean(axis=1)
    rule = NNM(beta=0.2, rule=NNM(beta=0.1, rule=built({"kind": "median"})))
    np.testing.assert_allclose(judged(rule, a_round(said).inbox).step, np.median(twice, axis=0), rtol=1e-12, atol=1e-14)


def test_outliers_are_part_of_no_honest_mean() -> None:
    said = vectors(20, 30)
    said[:6] = 1e100
    verdict = judged(NNM(beta=0.3, rule=built({"kind": "krum", "beta": 0.3})), a_round(said).inbox)
    assert not verdict.kept[:6].any()
    np.testing.assert_allclose(verdict.step, said[6:].mean(axis=0), rtol=1e-12)


class TestPlans:
    def test_a_rule_within_a_rule(self) -> None:
        inner = {"kind": "trimmed-mean", "beta": 0.3}
        plan = Plan.of(changed(("aggregator", {"kind": "nnm", "beta": 0.3, "rule": inner})))
        assert plan.table()["aggregator"] == {"kind": "nnm", "beta": 0.3, "rule": inner}
        assert Plan.of(plan.table()) == plan

    @pytest.mark.parametrize(
        ("rule", "where", "reason"),
        [
            ({"kind": "krum", "beta": 0.45}, "aggregator.rule.beta", "Krum needs"),
            ({"kind": "median", "beta": 0.3}, "aggregator.rule.beta", "unknown key"),
            ({"kind": "norm-trim", "beta": 0.1}, "aggregator.rule.beta", "0.1 is below the 0.3 of the mixing"),
            ({"kind": "manhattan"}, "aggregator.rule.kind", "unknown kind"),
        ],
    )
    def test_names_the_key_of_the_inner_rule(self, rule: dict[str, Any], where: str, reason: str) -> None:
        found = fault(changed(("aggregator", {"kind": "nnm", "beta": 0.3, "rule": rule})))
        assert found.where == where
        assert reason in found.reason

    def test_needs_a_minority(self) -> None:
        with pytest.raises(PlanFault, match=r"^beta: 0\.4 of 2 workers, rounded up, is no minority"):
            NNM(beta=0.4, rule=built({"kind": "mean"})).admit(2, 0)
