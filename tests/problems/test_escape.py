"""Who leaves a saddle: the cubic method of P2 and gradient descent, with and without the saddle-point attack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpirobust.data.sources.regression import Regression
from mpirobust.plan import Plan
from mpirobust.testing.support.attack_rounds import run
from mpirobust.testing.support.clusters import LocalRun
from mpirobust.toml import read_table
from tests.support.launching import CONFIGS

DESCENT = {"kind": "first-order", "rounds": 20, "step": 0.2}  # about 1/L at the minima of the matrix problem
ONE_ROUND = {"kind": "cubic-newton", "rounds": 20, "M": 5.0, "solver": {"kind": "exact"}}
TWO_ROUNDS = {**ONE_ROUND, "two_rounds": True}


def losses(
    algorithm: dict[str, Any], data: dict[str, Any], problem: dict[str, Any], seed: int, workers: int = 2
) -> list[float]:
    """The audited loss round by round, of honest workers."""
    table = {"seed": seed, "workers": workers, "data": data, "problem": problem, "aggregator": {"kind": "mean"}}
    local = LocalRun(Plan.of({**table, "algorithm": algorithm}))
    return [local.cluster.audit(x).loss for x in run(local)]


@pytest.mark.parametrize("start_norm", [1e-2, 0.0])
@pytest.mark.parametrize(("M", "rounds"), [(1.0, 1), (10.0, 2)])
def test_the_exact_solver_leaves_the_toy_of_the_paper_at_once(start_norm: float, M: float, rounds: int) -> None:
    problem = {"kind": "saddle", "start_norm": start_norm}
    for seed in range(10):
        found = losses({**ONE_ROUND, "M": M, "rounds": 2}, {"kind": "none", "rows": 2}, problem, seed)
        assert abs(found[0]) < 1e-3
        assert found[rounds] < -1


@pytest.mark.parametrize("start_norm", [1e-3, 0.0])
@pytest.mark.parametrize("seed", range(5))
def test_cubic_newton_factorises_from_a_saddle_where_gradient_descent_stays(start_norm: float, seed: int) -> None:
    data = {"kind": "regression", "rows": 80, "features": 8}
    problem = {"kind": "matrix-factorisation", "columns": 2, "start_norm": start_norm}
    rows = Regression(rows=80, features=8).open([], seed).train(np.arange(80)).X
    floor = -(np.linalg.eigvalsh(rows.T @ rows / 80)[-2:] ** 2).sum() / 4
    assert losses(DESCENT, data, problem, seed)[-1] > 0.01 * floor
    alone = losses(ONE_ROUND, data, problem, seed, workers=1)
    assert alone[10] == pytest.approx(floor, rel=1e-12)
    two = losses(TWO_ROUNDS, data, problem, seed)
    assert two[-1] == pytest.approx(floor, rel=2e-3)  # local Hessians are indefinite at the minimum: it is not exact
    one = losses(ONE_ROUND, data, problem, seed)  # nor are local gradients zero
    assert one[-1] == pytest.approx(floor, rel=0.08)


def escapes(rule: dict[str, Any] | None = None, **algorithm: Any) -> int:
    """Of twenty seeds of configs/saddle.toml, with another rule if there is one, how many end in a well."""
    table = read_table(CONFIGS / "saddle.toml")
    if rule is not None:
        table["aggregator"] = rule
    ended = [run(LocalRun(Plan.of(table | {"seed": seed, "algorithm": algorithm})))[-1][0] for seed in range(1, 21)]
    return sum(abs(each) > 0.5 for each in ended)


@pytest.mark.paper
def test_the_saddle_point_attack_holds_one_round_and_not_two() -> None:
    """The attack against both forms of the cubic method, twenty seeds each."""
    cubic: dict[str, Any] = {"kind": "cubic-newton", "M": 10.0}
    assert escapes(kind="first-order", rounds=40, step=0.3) == 0
    assert escapes(**cubic, rounds=40) <= 2
    assert escapes(**cubic, rounds=60, two_rounds=True) == 20


@pytest.mark.paper
def test_perturbed_descent_leaves_and_a_search_needs_another_rule_or_long_tries() -> None:
    """The two methods that the paper compares with, twenty seeds each."""
    trimmed: dict[str, Any] = {"kind": "trimmed-mean", "beta": 0.3}
    common: dict[str, Any] = {"step": 0.3, "threshold": 0.05}
    perturbed: dict[str, Any] = {"kind": "perturbed-gd", "rounds": 200, "radius": 0.5, "wait": 10, **common}
    assert escapes(**perturbed) == 20
    assert escapes(trimmed, **perturbed) == 20
    search: dict[str, Any] = {"kind": "byzantine-pgd", "rounds": 400, "R": 0.5, "r": 0.5, "Q": 10, **common}
    assert escapes(trimmed, T_th=10, **search) == 20
    assert escapes(T_th=10, **search) == 0
    assert escapes(T_th=30, **search) == 20
