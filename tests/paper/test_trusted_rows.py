"""200 of the rows of a9a at the center: what no rule withstands without them (docs/RULES.md)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.paper.a9a import NEEDED, A9a, Run

pytestmark = NEEDED

TRUST = ("center_rows=200", "aggregator.kind=fltrust", "attack.alpha=0.6")
BY_LABEL = ("data.partition.kind=by-label", "problem.kind=logistic", "algorithm.step=2.0", "aggregator.own=0.1")


@pytest.fixture(scope="module")
def a9a(tmp_path_factory: pytest.TempPathFactory) -> A9a:
    return A9a(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def honest(a9a: A9a) -> Run:
    return a9a.run("attack.alpha=0.0", "aggregator.kind=mean", config="a9a-robust.toml")


@pytest.mark.parametrize("attack", ["sign-flip", "collude"])
def test_a_byzantine_majority_costs_less_than_a_tenth(attack: str, a9a: A9a, honest: Run) -> None:
    """12 of 20 workers. What other rules do under a majority is not asked: a plan with them is refused."""
    steps = ("algorithm.step=1.0", "algorithm.schedule=inverse-sqrt")
    run = a9a.run(*TRUST, f"attack.kind={attack}", *steps, config="a9a-robust.toml")
    assert run.local.byzantine.sum() == 12
    assert run.last.loss <= 1.1 * honest.last.loss


@pytest.mark.parametrize("overrides", [("attack.kind=sign-flip",), ("attack.kind=label-flip", "attack.alpha=0.2")])
def test_shards_sorted_by_class_beat_always_saying_the_larger_class(overrides: tuple[str, ...], a9a: A9a) -> None:
    """There every worker has one class, and none an answer like that of the center: a little of its own leads."""
    run = a9a.run(*TRUST, *BY_LABEL, *overrides, config="a9a-robust.toml")
    facts = run.local.dataset.facts
    larger = np.bincount(run.local.dataset.test(np.arange(facts.test_rows)).y.astype(int)).max() / facts.test_rows
    assert run.last.test_accuracy >= larger + 0.04
