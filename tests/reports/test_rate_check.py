"""What `check` says of P1's steps and bounds: the numbers of the formulas, and a bound that runs keep."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mpirobust.plan import Plan
from mpirobust.reports import theory_p1 as theory
from mpirobust.reports.constants import Contraction, Start, contraction
from mpirobust.reports.rate_check import rates
from mpirobust.testing.support.clusters import LocalRun
from mpirobust.testing.support.witness import ran

TABLE: dict[str, Any] = {
    "seed": 1,
    "workers": 40,
    "data": {"kind": "regression", "rows": 2000, "features": 6, "noise": 0.3},
    "problem": {"kind": "least-squares"},
    "algorithm": {"kind": "first-order", "rounds": 50, "step": 0.1},
    "aggregator": {"kind": "norm-trim", "beta": 0.05},
    "attack": {"kind": "negative", "alpha": 0.05},
}
NUMBER = r"([-+.e0-9]+)"


def told(delta: float | None = None, worst: float | None = None, **changes: Any) -> tuple[Start, str]:
    """The sentences on a plan at `delta`, or as it is measured."""
    plan = Plan.of({**TABLE, **changes})
    dataset = plan.data.open([], plan.seed)
    dealt = plan.deal(dataset)
    start = Start(plan, dataset, dealt)
    found = contraction(start) if delta is None else Contraction(6, 8, delta, worst)
    return start, "\n".join(rates(start, dealt, found))


def first_order(**changes: Any) -> dict[str, Any]:
    return {**TABLE["algorithm"], **changes}


def numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern.replace("#", NUMBER), text)
    assert found, text
    return [float(each) for each in found.groups()]


class TestFirstAndSecond:
    @pytest.mark.parametrize(("option", "factor"), [("I", theory.factor1), ("II", theory.factor2)])
    def test_the_step_of_the_proof(self, option: str, factor: theory.Margin) -> None:
        limit = theory.largest_step(factor(0.9, 0.05, 0.05))
        L = told(0.9)[0].curvature()
        for gamma, said in (
            (0.99 * limit / L.high, "holds"),
            (0.5 * limit * (1 / L.high + 1 / L.low), "holds at the start"),
            (1.01 * limit / L.low, "does not hold"),
        ):
            text = told(0.9, algorithm=first_order(step=gamma, option=option))[1]
            assert text.startswith(f"step: {said}: γL in [{gamma * L.low:.3g}, {gamma * L.high:.3g}], its proof needs")
            assert numbers("its proof needs γL < #\n", text) == [pytest.approx(limit, rel=1e-2)]

    def test_the_step_of_the_sharper_proof(self) -> None:
        L = told(0.9)[0].curvature()
        for gamma, said in (
            (0.99 / L.high, "holds"),
            (0.5 * (1 / L.high + 1 / L.low), "holds at the start"),
            (1.01 / L.low, "does not hold"),
        ):
            text = told(0.9, algorithm=first_order(step=gamma))[1]
            assert f"step: {said}: a sharper proof needs γL <= 1 (docs/PAPER.md)" in text
            assert ("bound at γ = " in text) == (said == "does not hold")

    def test_a_schedule_by_the_smoothness_is_its_own_gamma_l(self) -> None:
        text = told(0.9, algorithm=first_order(step=0.3, schedule="inverse-smoothness"))[1]
        assert numbers("γL in .#,", text) == [pytest.approx(0.3, rel=1e-2)]

    def test_where_no_step_is_small_enough(self) -> None:
        many: dict[str, Any] = {
            "attack": {"kind": "zero", "alpha": 0.3},
            "aggregator": {"kind": "norm-trim", "beta": 0.4},
        }
        for feedback in ("none", "residual"):
            text = told(0.5, feedback=feedback, **many)[1]
            assert text == "step: none is small enough for its proof at this δ (docs/PAPER.md)"

    @pytest.mark.parametrize("option", ["I", "II"])
    def test_the_rates_and_the_bound(self, option: str) -> None:
        """From the constants that it prints, by the formulas of the paper."""
        start, text = told(0.9, algorithm=first_order(option=option))
        v, L_hat, rows, sigma, D = numbers(r"v = #, L̂ = # \(# rows\), σ = #, D = # \(2γTσ\)", text)
        assert [rows, D] == pytest.approx([256, 2 * 0.1 * 50 * sigma], rel=1e-2)
        root = v * np.sqrt(6)
        eps1, eps2 = (
            root * max(rate, np.sqrt(rate)) for rate in (6 / n * np.log(1 + 2 * n * D * L_hat * 6) for n in (50, 1900))
        )
        eps1 += 1 / 50
        stretch = np.sqrt(0.1) * (1.05 if option == "II" else 1)
        kappa, own, other = (stretch + 0.1) / 0.95, (stretch + 0.1) / 0.95 * eps1, eps2  # α = β: 2α = α + β
        lam = (1 - kappa) / kappa
        assert numbers("ε1 = #, ε2 = #, ε = # at λ0 = #\n", text) == pytest.approx(
            [eps1, eps2, 2 * (1 + 1 / lam) * (own**2 + other**2), lam], rel=2e-2
        )
        falling, floor = numbers(r"bound: at best min \|\|∇F\|\|² <= # \+ # in 50 rounds", text)
        assert floor == pytest.approx(((own + other) / (1 - kappa)) ** 2, rel=2e-2)
        assert falling == pytest.approx(2 * start.value / (1 - kappa) / 0.1 / 51, rel=2e-2)
        deviation, least = numbers("= #, as at the start, for ε1: about #", text)
        assert deviation == pytest.approx(start.eps_gradient(), rel=1e-2)
        assert least == pytest.approx(floor * (deviation / eps1) ** 2, rel=3e-2)

    def test_the_ball(self) -> None:
        start, text = told(0.9, algorithm=first_order(radius=3.0))
        assert "D = 6\n" in text
        room, needed = numbers("W: does not hold: # around w_0, and its assumption needs #", text)
        assert room == 3
        assert needed > 50 * 0.1 * np.linalg.norm(start.gradient)
        assert "W: holds at the start: 1e+07 around w_0" in told(0.9, algorithm=first_order(radius=1e7))[1]
        assert "W:" not in told(0.9)[1]

    def test_without_a_bound_on_the_loss(self) -> None:
        changes: dict[str, Any] = {"data": {"kind": "none", "rows": 80, "features": 4, "sigma": 0.1}}
        text = told(0.9, problem={"kind": "double-well"}, **changes)[1]
        assert "γL >= " in text
        assert "and a term in F(w_0) - F* in 50 rounds" in text

    def test_outside_of_the_theorems_there_is_nothing_to_say(self) -> None:
        for changes in (
            {"algorithm": first_order(batch=3)},
            {"aggregator": {"kind": "median"}},
            {"feedback": "difference"},
            {"algorithm": {"kind": "newton", "rounds": 3}},
        ):
            assert told(0.9, **changes)[1] == ""
        assert told(-1.0)[1] == ""

    @pytest.mark.parametrize("kind", ["negative", "under-cut", "collude"])
    def test_the_run_keeps_below_what_it_is_promised(self, kind: str) -> None:
        """With its own deviations for ε1 and ε2 the bound is far below the start, and the run below the bound."""
        attack = {"kind": kind, "alpha": 0.05, **({"beta": 0.05} if kind == "under-cut" else {})}
        local = LocalRun(Plan.of({**TABLE, "attack": attack, "compressor": {"kind": "topk", "k": 5}}))
        honest = [worker.clean for worker, bad in zip(local.workers, local.byzantine, strict=True) if not bad]
        norms, apart, delta = [], 0.0, 1.0
        for x in ran(local).iterates:
            own = [local.plan.problem.gradient(x, shard) for shard in honest]
            g = np.mean(own, axis=0)
            norms.append(float(g @ g))
            apart = max(apart, *(float(np.linalg.norm(each - g)) for each in own))
            delta = min(delta, *(1 - float((each**2).min() / (each @ each)) for each in own))
        kappa = theory.factor2(delta, 0.05, 0.05)
        off = ((1.05 * np.sqrt(1 - delta) + 0.1) * apart) / 0.95
        first = np.mean([local.plan.problem.value(local.x0, shard) for shard in honest])
        assert kappa < 1
        assert min(norms) <= sum(theory.sharp_bound(kappa, off, float(first), 0.1, 50))


class TestThird:
    def test_the_step(self) -> None:
        L = told(0.9)[0].curvature()
        low, high = (theory.largest_step3(0.9, 0.05, 0.05, each) for each in (L.low, L.high))
        for gamma, said in (
            (0.99 * high, "holds"),
            (0.5 * (low + high), "holds at the start"),
            (1.01 * low, "does not"),
        ):
            text = told(0.9, feedback="residual", algorithm=first_order(step=gamma))[1]
            assert text.startswith(f"step: {said}")
            assert numbers("its proof needs γ < # ", text) == [pytest.approx(low, rel=1e-2)]
            assert ("bound at γ = " in text) == (said == "does not")

    @pytest.mark.parametrize("delta", [0.7, 0.74, 0.76, 1.0])
    def test_lemma_5_is_corrected_where_it_is_false(self, delta: float) -> None:
        text = told(delta, feedback="residual")[1]
        assert ("Lemma 5 is false for δ < 3/4" in text) == (delta < 0.75)
        if delta < 0.75:
            r = np.sqrt(1 - delta)
            found = numbers("may be #, not #; used below", text)
            assert found == pytest.approx([(r / (1 - r)) ** 2, 3 * r**2 / (1 - r**2)], rel=1e-2)

    def test_the_rates_and_the_bound(self) -> None:
        gamma, delta = 0.02, 0.7
        start, text = told(delta, feedback="residual", algorithm=first_order(step=gamma))
        e1, e2, d1, d2, d3 = numbers("ε1 = #, ε2 = #, Δ1 = #, Δ2 = #, Δ3 = # at γ = 0.02\n", text)
        L, sigma = start.curvature().low, start.sigma().low
        r = np.sqrt(1 - delta)
        kept = (r / (1 - r) * sigma) ** 2
        pull = 9 * ((1 + r) / 0.95) ** 2 * 2 * 0.05**2
        c = 0.48 - pull / 2 - gamma * (2 * L + (0.5 + L) * pull)
        expected = [
            (pull / 2 * (e1**2 + kept) + 50 * e2**2) / c,
            (L**2 / 2 * kept + 2 * L * e2**2 + (0.5 + L) * pull * (e1**2 + kept)) / c,
            25.01 * L**2 * kept / c,
        ]
        assert [d1, d2, d3] == pytest.approx(expected, rel=3e-2)
        falling, floor = numbers(r"bound: at best min \|\|∇F\|\|² <= # \+ # in 50 rounds", text)
        assert floor == pytest.approx(d1 + gamma * d2 + gamma**2 * d3, rel=2e-2)
        assert falling == pytest.approx(start.value / (c * gamma * 51), rel=2e-2)
