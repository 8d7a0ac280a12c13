"""What `check` says of the guarantees of a rule, and the heterogeneity of gradients that they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from mpirobust.plan import Plan
from mpirobust.reports import constants
from mpirobust.reports.constants import Start
from mpirobust.reports.forecast import forecast
from mpirobust.reports.guarantees import Dissimilarity, covering, guarantees, least_kappa, spread

TABLE: dict[str, Any] = {
    "seed": 1,
    "workers": 20,
    "data": {"kind": "regression", "rows": 2000, "features": 10},
    "problem": {"kind": "least-squares"},
    "algorithm": {"kind": "first-order", "rounds": 5, "step": 0.5},
    "compressor": {"kind": "l1-qsgd"},
    "aggregator": {"kind": "trimmed-mean", "beta": 0.3},
    "attack": {"kind": "gaussian", "alpha": 0.2},
}
NOBODY = {"attack": None}
MEDIAN = {"aggregator": {"kind": "median"}}
NONE = "no (f, κ) is known for"


def start_of(**changes: Any) -> Start:
    """A change to None leaves the table out."""
    plan = Plan.of({key: value for key, value in {**TABLE, **changes}.items() if value is not None})
    dataset = plan.data.open([], plan.seed)
    return Start(plan, dataset, plan.deal(dataset))


@pytest.mark.parametrize(
    ("changes", "kappa", "cost"),
    [
        ({}, "κ = 0.6 whatever 4 of 20 send", "set for 6 can have less than 0.6, one set for 4 may have 0.333"),
        ({"aggregator": {"kind": "trimmed-mean", "beta": 0.2}}, "κ = 0.333 whatever 4 of 20 send", None),
        (MEDIAN, "κ = 1.29 whatever 4 of 20 send", "set for 9 can have less than 1.29, one set for 4 may have 0.333"),
        (NOBODY, "κ = 0.429 with all honest", "set for 6 can have less than 0.429, one set for 0 may have 0"),
        ({"aggregator": {"kind": "norm-trim", "beta": 0.3}}, f"{NONE} norm-trim", None),
        ({"aggregator": {"kind": "mean"}}, f"{NONE} mean", None),
        ({"algorithm": {**TABLE["algorithm"], "q": 1}}, f"{NONE} trimmed-mean with these norms", None),
        ({"algorithm": {**TABLE["algorithm"], "option": "I"}}, f"{NONE} trimmed-mean with these norms", None),
    ],
)
def test_kappa_of_the_plan_and_what_its_beta_costs(changes: dict[str, Any], kappa: str, cost: str | None) -> None:
    told = f"{kappa} (docs/RULES.md)"
    assert guarantees(start_of(**changes))[0] == (told if cost is None else f"{told}; no rule {cost}")


@pytest.mark.parametrize("rule", [{"kind": "mean"}, {"kind": "norm-trim", "beta": 0.3}, {"kind": "caf", "beta": 0.3}])
def test_nothing_is_said_where_nothing_is_known_and_nobody_attacks(rule: dict[str, Any]) -> None:
    assert guarantees(start_of(aggregator=rule, **NOBODY)) == []


def test_heterogeneity_is_said_of_gradient_descent_among_equals() -> None:
    assert len(guarantees(start_of())) == 3
    assert len(guarantees(start_of(algorithm={"kind": "newton", "rounds": 3}, **MEDIAN))) == 1
    assert guarantees(start_of(weigh="rows", **MEDIAN)) == [f'{NONE} median with weigh = "rows" (docs/RULES.md)']


def test_the_measured_pair_is_in_the_sentences() -> None:
    start = start_of()
    found = covering(*spread(start))
    floor = found.floor(0.6)
    assert floor is not None
    _, seen, limit = guarantees(start)
    assert seen == (
        f"G² = {found.G2:.3g}, B² = {found.B2:.3g} cover the honest gradients of the first rounds (16 of 20 workers): "
        f"with these κB² = {0.6 * found.B2:.3g}, and ||∇F||² falls to {floor:.3g} without compression"
    )
    assert limit == f"no rule has a guarantee from f/n = 1/(2 + B²) = {1 / (2 + found.B2):.3g} on; here it is 0.2"


def test_no_descent_is_proved_where_shards_differ_by_more() -> None:
    """Ten rows for ten features: gradients differ by more than the rule bears."""
    seen = guarantees(start_of(data={**TABLE["data"], "rows": 200}, **MEDIAN))[1]
    assert seen.endswith("and no descent is proved")


def test_gradients_that_are_not_finite_are_not_told() -> None:
    start = start_of()
    start.x = np.full(start.layout.dim, 1e300)
    assert len(guarantees(start)) == 1


def test_the_spread_is_of_honest_gradients_along_their_own_descent() -> None:
    start = start_of()
    loss, x = start.plan.problem, start.x
    variances, squares = spread(start)
    for variance, square in zip(variances, squares, strict=True):
        honest = np.array([loss.gradient(x, start.shards[at]) for at in start.honest])
        assert len(honest) == 16
        assert variance == pytest.approx(float(honest.var(axis=0).sum()))
        assert square == pytest.approx(float(np.square(honest.mean(axis=0)).sum()))
        x = x - 0.5 * honest.mean(axis=0)
    assert len(variances) == 9
    assert squares[-1] < squares[0]


def test_the_spread_of_a_few_workers_estimates_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of eight is twice as long as that of 180: taken as it is, the ratio would be 4 instead of 11."""
    data = {"kind": "regression", "rows": 400, "features": 20}
    many = {"seed": 2, "workers": 200, "data": data, "attack": {"kind": "gaussian", "alpha": 0.1}}
    whole = spread(start_of(**many))
    monkeypatch.setattr(constants, "_WORK", 0)
    few = start_of(**many)
    assert len(few.honest) == 8
    all_of_them, estimated = (variances[0] / squares[0] for variances, squares in (whole, spread(few)))
    assert estimated == pytest.approx(all_of_them, rel=0.1)


@pytest.mark.parametrize(
    ("variances", "squares", "pair"),
    [
        ([2.0, 5.0, 8.0], [0.0, 1.0, 2.0], (2.0, 3.0)),
        ([1.0, 3.5, 8.0], [0.0, 0.5, 2.0], (2.0, 3.0)),  # one below the line
        ([4.0, 8.0], [1.0, 2.0], (0.0, 4.0)),
        ([1.0, 8.0], [1.0, 2.0], (0.0, 4.0)),  # the line through both has G² < 0
        ([8.0, 3.0], [1.0, 2.0], (8.0, 0.0)),  # and here B² < 0
        ([3.0, 3.0], [1.0, 1.0], (3.0, 0.0)),  # all pairs exceed alike; then no B²
        ([2.0, 0.0], [0.0, 0.0], (2.0, 0.0)),
    ],
)
def test_the_pair_lies_above_all_points_and_close(
    variances: list[float], squares: list[float], pair: tuple[float, float]
) -> None:
    found = covering(np.array(variances), np.array(squares))
    assert pytest.approx(pair) == (found.G2, found.B2)


def test_no_other_pair_exceeds_less() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        variances, squares = rng.exponential(size=(2, 9)) * 10.0 ** rng.integers(-3, 3, (2, 1))
        found = covering(variances, squares)
        constraints = -np.column_stack([np.ones(9), squares])
        best = linprog([9, squares.sum()], A_ub=constraints, b_ub=-variances)
        assert 9 * found.G2 + found.B2 * squares.sum() == pytest.approx(best.fun)


@pytest.mark.parametrize("m", [3, 10, 21])
@pytest.mark.parametrize("B2", [0.0, 0.5, 4.0, 30.0])
def test_the_least_kappa_descends_up_to_the_breakdown_point(m: int, B2: float) -> None:
    found = Dissimilarity(G2=2.0, B2=B2)
    for f in range((m + 1) // 2):
        assert (found.floor(least_kappa(m, f, f)) is not None) == (f / m < found.breakdown - 1e-12)


def test_the_floor_is_where_the_error_of_the_step_is_the_gradient() -> None:
    floor = Dissimilarity(G2=2.0, B2=0.5).floor(0.4)
    assert floor is not None
    assert 0.4 * (2.0 + 0.5 * floor) == pytest.approx(floor)


def test_check_prints_them_before_the_audit(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(Plan.of(TABLE).toml())
    lines = forecast(plan, []).splitlines()
    found = [at for at, line in enumerate(lines) if line.startswith("  guarantee   ")]
    assert len(found) == 3
    assert lines[found[0]].startswith("  guarantee   κ = 0.6 whatever")
    assert lines[found[-1] + 1].startswith("  audit")
