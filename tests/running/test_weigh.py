"""With `weigh = "rows"` step, audit and smoothness are those of the loss on all rows together."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.data.sources.base import Places
from mpirobust.errors import SetupFault
from mpirobust.hdf5 import write_sealed
from mpirobust.plan import Plan
from mpirobust.records.layout import FORMAT, TRACE
from mpirobust.records.run_folder import check_continues, former_run
from mpirobust.reports.forecast import forecast
from mpirobust.shard import Shard
from mpirobust.testing.support.attack_rounds import run
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.types import Vector
from tests.support.rows import write_rows

PROBLEMS: list[dict[str, Any]] = [{"kind": "least-squares"}, {"kind": "logistic", "l2": 9.0}]


def uneven(folder: Path, **changes: Any) -> LocalRun:
    """Classes dealt very unequally to eight workers."""
    write_rows(folder / "rows.svm", rows=120, features=7)
    data = {"kind": "libsvm", "path": "rows.svm", "partition": {"kind": "dirichlet", "concentration": 0.3}}
    plan = regression_plan(**{"workers": 8, "data": data, "weigh": "rows", **changes})
    return LocalRun(plan, plan.data.prepare(Places(folder, None, folder / "cache")))


def pooled(local: LocalRun) -> Shard:
    return local.dataset.train(np.arange(local.dataset.facts.rows))


def descent(local: LocalRun) -> list[Vector]:
    """Gradient descent on the pooled rows, 30 steps of 0.1."""
    iterates, rows = [local.x0], pooled(local)
    for _ in range(30):
        iterates.append(iterates[-1] - 0.1 * local.plan.problem.gradient(iterates[-1], rows))
    return iterates


def test_shards_are_unequal_and_weights_are_their_rows(tmp_path: Path) -> None:
    local = uneven(tmp_path)
    rows = np.array([worker.clean.rows for worker in local.workers])
    assert rows.max() > 5 * rows.min()
    np.testing.assert_array_equal(local.config.weights / local.config.weights.sum(), rows / 120)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda table: table["kind"])
def test_the_audit_is_of_the_pooled_rows(problem: dict[str, Any], tmp_path: Path) -> None:
    local = uneven(tmp_path, problem=problem, attack={"kind": "negative", "alpha": 0.3})
    x, loss, rows = np.linspace(-1, 1, 7), local.plan.problem, pooled(local)
    audit = local.cluster.audit(x)
    np.testing.assert_allclose(audit.loss, loss.value(x, rows), rtol=1e-12)
    np.testing.assert_allclose(audit.gradient_norm, np.linalg.norm(loss.gradient(x, rows)), rtol=1e-12)
    hessian = np.array([loss.hessian(x, rows)(unit) for unit in np.eye(7)])
    np.testing.assert_allclose(local.cluster.smoothness(x), np.linalg.eigvalsh(hessian).max(), rtol=1e-3)
    equal = uneven(tmp_path, problem=problem, weigh="equal").cluster
    assert abs(equal.audit(x).loss / audit.loss - 1) > 1e-2
    assert abs(equal.smoothness(x) / local.cluster.smoothness(x) - 1) > 1e-2


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda table: table["kind"])
@pytest.mark.parametrize("feedback", ["none", "residual", "difference"])
@pytest.mark.parametrize(
    "rule", [{"kind": "mean"}, {"kind": "norm-trim", "beta": 0.0}], ids=lambda table: table["kind"]
)
def test_it_is_gradient_descent_on_the_pooled_rows(
    problem: dict[str, Any], feedback: str, rule: dict[str, Any], tmp_path: Path
) -> None:
    local = uneven(tmp_path, problem=problem, feedback=feedback, aggregator=rule)
    found, expected = run(local), descent(local)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    equal = run(uneven(tmp_path, problem=problem, feedback=feedback, aggregator=rule, weigh="equal"))
    assert np.abs(equal[-1] - expected[-1]).max() > 1e-2


@pytest.mark.parametrize(
    "rule", [{"kind": "norm-trim", "beta": 0.34}, {"kind": "median"}, {"kind": "geometric-median"}]
)
@pytest.mark.parametrize("feedback", ["none", "difference"])
def test_equal_shards_give_the_bits_of_equal_weights(rule: dict[str, Any], feedback: str) -> None:
    """Sixty rows, six workers."""
    attack = {"kind": "collude", "alpha": 0.34}
    teams = [
        LocalRun(regression_plan(aggregator=rule, feedback=feedback, attack=attack, weigh=weigh))
        for weigh in ("equal", "rows")
    ]
    one, other = (np.array(run(local)) for local in teams)
    assert one.tobytes() == other.tobytes()
    audit, other_audit = (astuple(local.cluster.audit(one[-1]))[:-1] for local in teams)
    np.testing.assert_array_equal(audit, other_audit)
    assert teams[0].cluster.smoothness(one[0]) == teams[1].cluster.smoothness(one[0])


@pytest.mark.parametrize("attack", ["collude", "under-cut", "alie", "garbage"])
@pytest.mark.parametrize("feedback", ["none", "difference"])
def test_attacked_it_stays_finite(attack: str, feedback: str, tmp_path: Path) -> None:
    table = {"kind": attack, "alpha": 0.3, **({"beta": 0.4} if attack == "under-cut" else {})}
    code = {"kind": "l1-qsgd"}
    rule = {"kind": "norm-trim", "beta": 0.4}
    local = uneven(tmp_path, attack=table, compressor=code, feedback=feedback, aggregator=rule)
    iterates = run(local)
    assert np.isfinite(iterates).all()
    assert np.isfinite(local.cluster.audit(iterates[-1]).loss)


def test_the_forecast_says_who_holds_the_weight(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.svm", rows=120, features=7)
    plan = tmp_path / "plan.toml"
    local = uneven(tmp_path, attack={"kind": "negative", "alpha": 0.3})
    plan.write_text(local.plan.toml())
    shares = local.config.weights / local.config.weights.sum()
    said = f"heaviest worker has {shares.max():.1%} of the weight, the Byzantine {shares[local.byzantine].sum():.1%}\n"
    assert said in forecast(plan, [])
    assert "weights" not in forecast(plan, ["weigh=equal"])


def test_a_run_without_the_key_is_one_of_equal_weights(tmp_path: Path) -> None:
    table = regression_plan().table()
    older = {key: value for key, value in table.items() if key != "weigh"}
    plan, other = regression_plan().record(), regression_plan(weigh="rows").record()
    assert plan.identity() == replace(plan, table=older).identity() != other.identity()
    assert "weigh" not in plan.identity()
    text = regression_plan().toml().replace('weigh = "equal"\n', "")
    assert "weigh" not in text
    facts = {"plan": text, "status": "finished", "rounds": 0}
    write_sealed(tmp_path / TRACE, "run", FORMAT, lambda file: file.attrs.update(facts))
    check_continues(tmp_path, former_run(tmp_path), plan)
    with pytest.raises(SetupFault, match="weigh was 'equal', is 'rows'"):
        check_continues(tmp_path, former_run(tmp_path), other)


def test_the_key_is_in_the_effective_plan() -> None:
    assert regression_plan().table()["weigh"] == "equal"
    plan = regression_plan(weigh="rows")
    assert Plan.of(plan.table()) == plan
