"""A claim holds, holds only if, or does not; per seed, and divergence is the worst there is."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from mpirobust.errors import SetupFault
from mpirobust.reports.metrics import Metric
from mpirobust.studies.claims import Finding, find, median_interval, row, spread, verdict
from mpirobust.studies.family import Case, Claim
from mpirobust.studies.outcome import Outcome


def seen(*seeds: list[float]) -> Outcome:
    values = np.array(seeds)
    rounds = 10 * np.arange(values.shape[1])
    return Outcome(rounds, rounds.astype(float), values, np.isinf(values[:, -1]))


MEASURED: dict[tuple[str, Metric], Outcome] = {
    ("good", "distance"): seen([9.0, 2.0, 1.0], [9.0, 4.0, 2.0]),
    ("bad", "distance"): seen([9.0, 3.0, 3.0], [9.0, 3.0, 3.0]),
    ("lost", "distance"): seen([9.0, 99.0, np.inf], [9.0, 1.0, 1.0]),
    ("good", "loss"): seen([5.0, 5.0, 5.0], [5.0, 5.0, 5.0]),
}


def case(curve: str, against: str | None = None, bound: float | None = None, **more: float | str) -> Case:
    return Case(when="so", curve=curve, against=against, bound=bound, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "holding"),
    [
        (case("good", "bad"), 2),
        (case("bad", "good"), 0),
        (case("good", "bad", round=10), 1),  # 2 < 3, but 4 > 3
        (case("good", "bad", factor=0.5), 1),
        (case("good", bound=1.0), 1),
        (case("lost", bound=1e300), 1),
        (case("bad", "lost"), 1),
        (case("lost", "lost"), 1),  # divergence holds against nothing
        (case("good", bound=4.0, metric="loss"), 0),
    ],
)
def test_counts_the_seeds_for_which_it_holds(said: Case, holding: int) -> None:
    found = find(said, "distance", MEASURED)
    assert (found.holding, found.holds) == (holding, holding == 2)


def test_the_verdict_needs_every_seed_of_every_case() -> None:
    yes = find(Case(when="it is good", curve="good", against="bad"), "distance", MEASURED)
    half = find(Case(when="it is lost", curve="lost", bound=5.0), "distance", MEASURED)
    assert verdict([yes]) == "holds"
    no = find(Case(when="it is bad", curve="bad", against="good"), "distance", MEASURED)
    assert verdict([no]) == "does not hold"
    assert verdict([half, no]) == "holds only if: it is lost (1 of 2 seeds)"
    assert verdict([half, yes]) == "holds only if: it is lost (1 of 2 seeds); it is good"


def test_a_row_has_the_numbers() -> None:
    claim = Claim(says="good is better", cases=(case("good", "bad", factor=0.5), case("lost", bound=5.0)))
    settings = {"good": "a9a, seeds 1-2", "lost": "w8a, seeds 1-2"}
    assert row(claim, "distance", MEASURED, settings) == (
        "| good is better | **holds only if: so (1 of 2 seeds); so (1 of 2 seeds)** "
        "| so: 1.5 [1, 2] against 0.5 times 3 for bad (1 of 2 seeds, 1% to 99%; a9a, seeds 1-2)<br>"
        "so: divergence [1, divergence] against at most 5 (1 of 2 seeds, 1% to 99%; w8a, seeds 1-2) |"
    )


@pytest.mark.parametrize(("holding", "seeds"), [(0, 3), (2, 3), (3, 3), (9, 20), (1, 1)])
def test_the_share_is_where_its_tails_say(holding: int, seeds: int) -> None:
    """Clopper and Pearson: at either end, what was seen or more of it has a probability of 2.5 %."""
    values = np.where(np.arange(seeds) < holding, 0.0, 2.0)
    low, high = Finding(case("good", bound=1.0), values, np.ones(seeds)).share()
    chances = [[comb(seeds, k) * p**k * (1 - p) ** (seeds - k) for k in range(seeds + 1)] for p in (low, high)]
    assert low == 0 if holding == 0 else sum(chances[0][holding:]) == pytest.approx(0.025)
    assert high == 1 if holding == seeds else sum(chances[1][: holding + 1]) == pytest.approx(0.025)


@pytest.mark.parametrize("seeds", [1, 3, 5, 6, 10, 20])
def test_the_interval_of_the_median_is_the_narrowest_of_its_level(seeds: int) -> None:
    values = np.arange(seeds)[::-1].astype(float)
    values[0] = np.inf if seeds > 1 else 0.0
    low, high = (np.sort(values).tolist().index(each) for each in median_interval(values))
    assert low + high == seeds - 1

    def level(below: int) -> float:  # both tails: at most `below` of the seeds on one side of the median
        return 1 - 2 * sum(comb(seeds, k) for k in range(below + 1)) / float(2**seeds)

    assert level(low) >= 0.95 or (low == 0 and seeds < 6)
    assert level(low + 1) < 0.95


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, 2.0, 9.0], "2 [1, 9]"),
        ([3.0, np.inf, 1.0], "3 [1, divergence]"),
        ([2.0, 2.0], "2"),
        ([0.12345], "0.1235"),
    ],
)
def test_the_middle_of_the_seeds_is_their_median(values: list[float], said: str) -> None:
    assert spread(np.array(values)) == said


def test_a_round_without_an_audit_is_named() -> None:
    with pytest.raises(
        SetupFault, match=r"a claim on 'good': there is no audit after round 15; the last is after round 20"
    ):
        find(case("good", "bad", round=15), "distance", MEASURED)
