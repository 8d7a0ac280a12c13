from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from mpirobust.attacks.poisoned import Campaign, _more_than_chance
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.witness import Witness, ran
from mpirobust.types import Vector


def campaign(rule: dict[str, Any], length: int, **fields: Any) -> tuple[LocalRun, Witness]:
    plan = regression_plan(
        workers=20,
        data={"kind": "regression", "rows": 400, "features": 100, "noise": 0.3},
        algorithm={"kind": "first-order", "rounds": length, "step": 0.1},
        aggregator=rule,
        attack={"kind": "poisoned", "alpha": 0.2, **fields},
    )
    local = LocalRun(plan)
    return local, ran(local)


def moved(found: Witness, begin: int, end: int) -> Vector:
    """What the answers have added up to between two points."""
    return (found.iterates[begin] - found.iterates[end]) / 0.1


def test_the_mean_goes_where_the_signs_say() -> None:
    local, found = campaign({"kind": "mean"}, 40, rounds=10)
    memory = local.cluster.attack_memory
    assert set(memory.signs) == {-1.0, 1.0}
    assert memory.factor == 8.0
    assert (np.sign(moved(found, 1, 40)) == memory.signs).mean() > 0.99


def test_where_a_rule_holds_the_factor_shrinks_to_one_half_and_no_further() -> None:
    """By 0.7 at each test, as in the paper's experiments."""
    for rounds, factor in [(10, 8.0 * 0.7), (19, 8.0 * 0.7), (20, 8.0 * 0.7**2), (90, 0.5)]:
        local, _ = campaign(
            {"kind": "norm-trim", "beta": 0.2}, rounds + 1, rounds=10
        )  # the first round is no part of it
        assert local.cluster.attack_memory.factor == pytest.approx(factor)


def test_the_length_is_the_factor_times_the_aggregate_and_the_shape_that_of_the_honest() -> None:
    local, _ = campaign({"kind": "mean"}, 3)
    before: Campaign = local.cluster.attack_memory
    honest = before.aggregate - np.linalg.norm(before.aggregate) / np.linalg.norm(before.sent) * before.sent
    local.ask(3, local.plan.algorithm.query(local.plan.algorithm.start(local.x0, local.cluster)))
    sent = local.cluster.attack_memory.sent
    np.testing.assert_allclose(np.linalg.norm(sent), 8 * np.linalg.norm(before.aggregate), rtol=1e-12)
    np.testing.assert_allclose(sent / np.linalg.norm(sent), np.abs(honest) * before.signs / np.linalg.norm(honest))
    np.testing.assert_array_equal(local.cluster.attack_memory.signs, before.signs)


@pytest.mark.parametrize(("of", "least"), [(1204682, 603618), (139960, 70415), (717924, 359948), (145212, 73049)])
def test_more_than_chance_is_one_percent(of: int, least: int) -> None:
    """The numbers of the authors' program for the four networks of the paper, and the binomial distribution itself."""
    first = next(n for n in range(of // 2, of) if _more_than_chance(n, of))
    assert abs(first - least) <= 2
    assert binom.sf(first - 1, of, 0.5) == pytest.approx(0.01, rel=0.01)
