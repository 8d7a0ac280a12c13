from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust.algorithms.base import escaping
from mpirobust.algorithms.byzantine_pgd import Search
from mpirobust.plan import Plan
from mpirobust.testing.support.clusters import LocalRun, regression_plan
from mpirobust.testing.support.witness import Witness, falls_silent, first_order, gradient_descent, ran
from mpirobust.types import Vector
from tests.support.wells import well, went_on


def pgd(**fields: Any) -> Plan:
    rest = {key: fields.pop(key) for key in ("aggregator", "attack", "compressor", "feedback") if key in fields}
    algorithm = {"kind": "byzantine-pgd", "rounds": 1000, "step": 0.1, "threshold": 0.01, "Q": 4, "T_th": 3, **fields}
    return regression_plan(algorithm=algorithm, **rest)


def states(witness: Witness) -> list[Search]:
    return [moment.state for moment in witness.moments if isinstance(moment.state, Search)]


def lengths(vectors: list[Vector]) -> Any:
    return np.linalg.norm(vectors, axis=1)


@pytest.mark.parametrize("feedback", ["none", "difference"])
def test_is_gradient_descent_before_the_threshold(feedback: str) -> None:
    tables: dict[str, Any] = {
        "compressor": {"kind": "l1-qsgd"},
        "aggregator": {"kind": "trimmed-mean", "beta": 0.3},
        "attack": {"kind": "gaussian", "alpha": 0.3},
        "feedback": feedback,
    }
    plain = ran(LocalRun(regression_plan(algorithm=first_order(), **tables)))
    ours = ran(LocalRun(pgd(rounds=30, threshold=0.0, **tables)))
    np.testing.assert_array_equal(ours.iterates, plain.iterates)
    assert ours.kept == plain.kept
    assert not any(state.tries or state.escaping for state in states(ours))


@pytest.mark.parametrize(("Q", "T_th"), [(1, 1), (10, 10), (4, 3), (1, 7), (7, 1)])
@pytest.mark.parametrize("threshold", [0.3, 0.01])
def test_where_nothing_escapes_first_hit_and_total_differ_by_all_tries(Q: int, T_th: int, threshold: float) -> None:
    local = LocalRun(pgd(threshold=threshold, Q=Q, T_th=T_th, r=2.0, R=50.0))
    pooled = local.dataset.train(np.arange(60))
    path = gradient_descent(local, [0.1] * 500)
    hit = next(at for at, x in enumerate(path) if np.linalg.norm(local.plan.problem.gradient(x, pooled)) <= threshold)

    witness = ran(local)
    told = [escaping(moment.state) for moment in witness.moments[1:]]
    first_hit = hit + 1  # the exchange that finds the gradient small is one as well
    assert len(told) == first_hit + Q * T_th
    assert told == [False] * first_hit + [True] * (Q * T_th)
    assert states(witness)[-1].settled
    np.testing.assert_allclose(witness.iterates[-1], path[hit], rtol=1e-12, atol=1e-13)
    for x in witness.iterates[hit:]:
        np.testing.assert_array_equal(x, witness.iterates[hit])


def test_tries_start_anew_in_the_ball_around_the_iterate() -> None:
    found = states(ran(LocalRun(pgd(threshold=0.3, Q=50, T_th=3, r=2.0, R=50.0))))
    begun = [state for state in found if state.tries and state.steps == 0]
    assert [state.tries for state in begun] == list(range(1, 51))
    away = lengths([state.probe - state.x for state in begun])
    assert away.max() <= 2.0
    assert away.max() > 1.8
    assert len(set(away)) == 50
    for state, after in itertools.pairwise(found):
        if after.steps:
            assert (after.tries, after.steps) == (state.tries, state.steps + 1)
            np.testing.assert_array_equal(after.origin, state.origin)
            assert not np.array_equal(after.probe, state.probe)


def test_leaves_a_saddle_where_gradient_descent_stays() -> None:
    stays = ran(well(regression_plan(algorithm=first_order(rounds=200))))
    assert not np.any(stays.iterates[-1])
    local = well(pgd(step=0.3, r=0.3, R=0.5, Q=10, T_th=15, threshold=1e-3))
    found = states(ran(local))
    assert found[1].tries == 1  # it begins on the saddle
    out = next(at for at, state in enumerate(found) if at > 1 and state.tries == 0)
    assert np.linalg.norm(found[out].x - found[out - 1].origin) > 0.5
    assert (found[out].escaping, found[out + 1].escaping) == (True, False)
    np.testing.assert_array_equal(found[out].x, found[out].probe)
    assert found[-1].settled
    np.testing.assert_allclose(np.abs(found[-1].x), np.eye(8)[0], atol=1e-3)


def test_the_last_step_of_a_try_can_leave_the_ball_and_a_step_onto_it_does_not() -> None:
    local = well(pgd(step=0.3, r=0.3, R=0.5, Q=10, T_th=15, threshold=1e-3))
    found = states(ran(local))
    out = next(at for at, state in enumerate(found) if at > 1 and state.tries == 0)
    steps, reached = found[out - 1].steps + 1, float(np.linalg.norm(found[out].x - found[out - 1].origin))
    for T_th, R, escapes in [(steps, 0.5, True), (15, reached, False), (15, np.nextafter(reached, 0), True)]:
        local = well(pgd(step=0.3, r=0.3, R=float(R), Q=10, T_th=T_th, threshold=1e-3))
        again = states(ran(local))
        if T_th == 15:
            assert (again[out].tries == 0) is escapes
        else:
            assert any(state.escaping and state.tries == 0 and not state.settled for state in again)


def test_workers_cannot_tell_an_escape() -> None:
    local = LocalRun(pgd(threshold=0.3))
    asked = [local.plan.algorithm.query(state) for state in states(ran(local))]
    assert {(query.kind, query.scale, len(query.vectors)) for query in asked} == {(0, 0.1, 1)}


@pytest.mark.parametrize("attack", [None, {"kind": "gaussian", "alpha": 0.3}])
def test_goes_on_from_the_middle_of_an_escape(attack: dict[str, Any] | None, tmp_path: Path) -> None:
    tables = {"attack": attack, "aggregator": {"kind": "trimmed-mean", "beta": 0.3}} if attack else {}
    plan = pgd(threshold=0.3, Q=3, T_th=4, **tables)
    whole = ran(LocalRun(plan))
    first = next(at for at, state in enumerate(states(whole)) if state.tries)
    for at in (first - 1, first, first + 1, first + 4, first + 6, len(whole.moments) - 2):
        rest = went_on(LocalRun(plan), whole.moments[at], tmp_path)
        for ours, theirs in zip(states(rest), states(whole)[at:], strict=True):
            for name in ("x", "probe", "origin"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert (ours.t, ours.tries, ours.steps, ours.escaping, ours.settled) == (
                (theirs.t, theirs.tries, theirs.steps, theirs.escaping, theirs.settled)
            )


def test_rounds_end_an_escape_with_the_iterate_that_was_to_be_left() -> None:
    whole = ran(LocalRun(pgd(threshold=0.3)))
    first = next(at for at, state in enumerate(states(whole)) if state.tries)
    cut = ran(LocalRun(pgd(threshold=0.3, rounds=first + 5)))
    last = states(cut)[-1]
    assert (last.t, last.settled, last.tries) == (first + 5, False, 2)
    np.testing.assert_array_equal(last.x, states(whole)[first].x)


def test_a_round_without_anybody_begins_no_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRun(pgd(rounds=10, threshold=0.01, aggregator={"kind": "norm-trim", "beta": 0.2}))
    falls_silent(monkeypatch, local.workers)
    assert all(state.tries == 0 for state in states(ran(local)))
