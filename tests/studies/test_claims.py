"""A claim holds, holds only if, or does not; per seed, and divergence is the worst there is."""

from __future__ import annotations

import numpy as np
import pytest

from mpirobust.errors import SetupFault
from mpirobust.studies.claims import find, row, verdict
from mpirobust.studies.family import Case, Claim, Metric
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
    assert verdict([half]) == "does not hold"
    assert verdict([half, yes]) == "holds only if: it is good"


def test_a_row_has_the_numbers() -> None:
    claim = Claim(says="good is better", cases=(case("good", "bad", factor=0.5), case("lost", bound=5.0)))
    assert row(claim, "distance", MEASURED) == (
        "| good is better | **does not hold** | so: 1 against 0.5 times 3 for bad (1 of 2 seeds)<br>"
        "so: 1 against at most 5 (1 of 2 seeds) |"
    )


def test_a_round_without_an_audit_is_named() -> None:
    with pytest.raises(
        SetupFault, match=r"a claim on 'good': there is no audit after round 15; the last is after round 20"
    ):
        find(case("good", "bad", round=15), "distance", MEASURED)
