"""What `check` says of P2's Theorem 4: which conditions hold, by what factor, and what the plan is outside of."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mpirobust.plan import Plan
from mpirobust.reports.constants import Start, contraction
from mpirobust.reports.cubic_check import cubic_regime
from mpirobust.reports.forecast import forecast
from tests.support.launching import CONFIGS

TABLE: dict[str, Any] = {
    "seed": 3,
    "workers": 10,
    "data": {"kind": "regression", "rows": 300, "features": 5, "noise": 0.5},
    "problem": {"kind": "robust-regression"},
    "algorithm": {
        "kind": "cubic-newton",
        "rounds": 40,
        "M": 100.0,
        "gamma": 0.5,
        "eta": 0.4,
        "solver": {"kind": "exact"},
    },
    "aggregator": {"kind": "norm-trim", "beta": 0.3},
    "attack": {"kind": "negative", "alpha": 0.1},
}
NUMBER = r"(-?[\d.,]+(?:e[-+]\d+)?)"


def told(**changes: Any) -> tuple[Start, str]:
    """The sentences on a plan; keys of the algorithm are given alone."""
    keys = {key: changes.pop(key) for key in list(changes) if key in ("M", "gamma", "eta", "two_rounds", "solver", "q")}
    keys |= {key: changes.pop(key) for key in list(changes) if key in ("momentum", "adaptive", "gradient_batch")}
    table = {**TABLE, "algorithm": {**TABLE["algorithm"], **keys}, **changes}
    plan = Plan.of({key: value for key, value in table.items() if value is not None})
    dataset = plan.data.open([], plan.seed)
    dealt = plan.deal(dataset)
    start = Start(plan, dataset, dealt)
    return start, "\n".join(cubic_regime(start, dealt, contraction(start)))


def numbers(pattern: str, text: str) -> list[float]:
    found = re.search(re.escape(pattern).replace(r"\#", NUMBER), text)
    assert found, (pattern, text)
    return [float(each.replace(",", "")) for each in found.groups()]


class TestConditions:
    def test_on_m(self) -> None:
        """4 (0.8)² 10 L_2 of (31), 2/3 0.7 0.8 10 L_2 of λ_comp, between L_2 near the start and its bound."""
        L2 = told()[0].twist()
        for condition, factor in (("(31)", 25.6), ("λ_comp > 0", 2 / 3 * 5.6)):
            low, high = factor * L2.low, factor * L2.high
            for M, said in (
                (1.01 * high, "holds"),
                ((low + high) / 2, "holds at the start"),
                (low / 3, "does not hold"),
            ):
                start, text = told(M=M)
                assert f"P2 {condition}: {said}: M = " in text
                here = [factor * each for each in (start.twist().low, start.twist().high)]  # of other steps
                found = numbers(f"P2 {condition}: {said}: M = #, needs # to #", text)
                assert found == pytest.approx([M, *here], rel=1e-3)
                factors = re.findall(re.escape(condition) + ".*so (.*) times as much or more", text)
                assert [float(each) for each in factors] == (
                    [pytest.approx(here[0] / M, rel=1e-2)] if said == "does not hold" else []
                )

    def test_on_gamma(self) -> None:
        """γ/η >= 1/7 with 7 of 10 kept; and more than 2 (0.9/0.7) L_1/(L_1 - ε_H)."""
        for ratio, said in ((0.99 / 7, "does not hold"), (1.01 / 7, "holds")):
            text = told(gamma=ratio, eta=1.0)[1]
            assert numbers(f"P2 γ >= η/((1-β)m): {said}: γ/η = #, needs #", text) == pytest.approx(
                [ratio, 1 / 7], rel=1e-2
            )
        many = {"kind": "regression", "rows": 6000, "features": 5, "noise": 0.5}  # of similar shards: a small ε_H
        start = told(data=many)[0]
        L1 = start.curvature()
        weak, strict = (2 * 0.9 / 0.7 / (1 - start.eps_hessian() / each) for each in (L1.high, L1.low))
        assert weak < 0.98 * strict
        for ratio, said in (
            (0.95 * weak, "does not hold"),
            ((weak + strict) / 2, "may hold"),
            (1.05 * strict, "holds at the start"),
        ):
            text = told(gamma=ratio, eta=1.0, data=many)[1]
            found = numbers(f"P2 gradient bound: {said}: γ/η = #, needs # to #", text)
            assert found == pytest.approx([ratio, weak, strict], rel=2e-2)
            assert "; Theorem 4 has η = γ (docs/PAPER.md)" in text

    def test_where_hessians_differ_too_much_for_any_gamma(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Start, "eps_hessian", lambda _: 1e9)
        assert "P2 gradient bound: does not hold: no γ/η is enough, as ε_H >= L_1; Theorem 4" in told()[1]

    def test_the_constants_are_those_of_the_start(self) -> None:
        start, text = told()
        found = numbers("ε_g = #, ε_H = #, Γ = # (9, 9 and 7 of 10 workers)", text)
        longest = max(np.linalg.norm(s) for at, s in zip(start.probed, start.steps, strict=True) if at in start.honest)
        assert found == pytest.approx([start.eps_gradient(), start.eps_hessian(), longest], rel=1e-2)
        L, L1, L2 = start.slope(), start.curvature(), start.twist()
        assert f"to a bound for all points: L {L}, L_1 {L1}, L_2 {L2}\n" in text

    def test_byzantine_shards_are_not_in_them(self) -> None:
        """ε_g, σ and Γ are of honest workers (P2 Ass. 3, P1 Ass. 5)."""
        start, text = told()
        (bad,) = start.plan.byzantine().tolist()
        before = start.eps_gradient(), start.sigma().low
        start.gradients[bad][:] += 1e3  # ∇f, the mean of all, is computed already
        start.steps[start.probed.index(bad)][:] = 1e3
        assert (start.eps_gradient(), start.sigma().low) == before
        again = "\n".join(cubic_regime(start, [np.arange(30)] * 10, contraction(start)))
        pattern = "ε_g = #, ε_H = #, Γ = #"
        assert numbers(pattern, again) == numbers(pattern, text)

    def test_without_known_bounds(self) -> None:
        text = told(problem={"kind": "phase-retrieval"})[1]
        assert text.count("(no bound is known)") == 3
        assert re.search(r"P2 \(31\): .*, needs [\d.,e+]+ or more", text)


class TestDelta:
    def test_a_contraction(self) -> None:
        assert "P2 Def. 1: holds: δ = 1 of the steps, needs more than 0\n" in told()[1]
        assert "P2 Def. 1: holds: δ = 0." in told(compressor={"kind": "topk", "k": 2})[1]

    def test_none(self) -> None:
        """P2's own compressor, in more than three dimensions; the other conditions are then those of δ = 1."""
        data = {**TABLE["data"], "features": 40, "rows": 600}
        start, text = told(data=data, compressor={"kind": "qsgd", "levels": 1})
        assert re.search("P2 Def. 1: does not hold: δ = -.* of the steps, needs more than 0; below as if δ = 1", text)
        L2 = start.twist()
        assert numbers("M = 100, needs # to #", text) == pytest.approx([25.6 * L2.low, 25.6 * L2.high], rel=1e-3)

    def test_only_at_the_start(self) -> None:
        text = told(data={**TABLE["data"], "features": 4, "noise": 0.0}, compressor={"kind": "qsgd", "levels": 1})[1]
        assert "P2 Def. 1: holds at the start: δ = 0." in text


class TestBound:
    def test_is_none_without_lambda_comp(self) -> None:
        assert re.search(r"bound: none, as λ_comp = -\d", told(M=0.1)[1])

    def test_by_hand(self) -> None:
        """From the constants that are printed: δ = 1, α = 0.1, β = 0.3, η/γ = 0.8."""
        start, text = told(M=2000.0)
        L, L1, L2 = (each.low for each in (start.slope(), start.curvature(), start.twist()))
        eg, eH = start.eps_gradient(), start.eps_hessian()
        step = 0.4 * max(float(np.linalg.norm(s)) for s in start.steps)
        rise = (0.9 * eg + L) / 0.7 * step + (eH + 9 * L1) * 0.9 / 9.8 * step**2
        rise += 0.1 * L2 / 4.2 * step**3 + L1 * 0.1 / 1.4 * step**2
        assert numbers("η Γ = # whatever T, so λ_Γ = # a round", text) == pytest.approx([step, rise], rel=1e-2)
        comp = (0.5 * 2000 / (4 * 0.49 * 0.4 * 100) - L2 / 42) * 9
        mean = ((start.value / 40 + rise) / comp) ** (1 / 3)
        kept = 0.9 / 0.7
        gradient = (L2 * kept / 2 + 1000 * 1.5625) * mean**2 + eg + L1 * step / 7 + L2 / 14 * step**2
        gradient += ((abs(kept - 1.25) + kept) * L1 + 1.25 * eH) * mean
        curvature = (1000 * 1.25 + L2 * kept) * mean + eH + L2 * step / 7
        found = numbers("bound: at best ||∇f|| <= # and λ_min >= # in 40 rounds", text)
        assert found == pytest.approx([gradient, -curvature], rel=1e-2)
        assert text.endswith("at the start: it says nothing here")


class TestOutside:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"solver": {"kind": "lanczos", "products": 3}}, "it solves (1) exactly"),
            ({"momentum": 0.5}, "it has no momentum"),
            ({"adaptive": 2}, "all workers have one M"),
            ({"gradient_batch": 4}, "its ε_g and ε_H are of the batches, and those below of whole shards"),
            ({"two_rounds": True}, "it asks in one round (Remark 10 is of honest workers)"),
            ({"q": 1}, "its proof measures with q = 2, not 1"),
            ({"weigh": "rows"}, "it counts every worker the same"),
            ({"aggregator": {"kind": "median"}}, "it is of norm-trim, not median"),
            ({"aggregator": {"kind": "mean"}}, "it is of norm-trim, not mean"),
            ({"feedback": "difference"}, "workers send the steps themselves"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_the_theorem_does_not_speak_of_is_named(self, changes: dict[str, Any], reason: str) -> None:
        text = told(**changes)[1]
        assert text.split("\n")[0] == f"outside P2's Theorem 4: {reason}"
        assert ("P2 (31)" in text) == ("aggregator" not in changes)

    def test_inside_nothing_is(self) -> None:
        assert told()[1].startswith("P2 Def. 1: holds")

    def test_the_mean_of_honest_workers_is_norm_trim(self) -> None:
        text = told(attack=None, aggregator={"kind": "mean"})[1]
        assert text.startswith("P2 Def. 1")
        assert "γ/η = 1.25, needs 0.1\n" in text

    def test_other_methods_are_none_of_its_business(self) -> None:
        plan = Plan.of({**TABLE, "algorithm": {"kind": "newton", "rounds": 3}})
        dataset = plan.data.open([], plan.seed)
        dealt = plan.deal(dataset)
        start = Start(plan, dataset, dealt)
        assert cubic_regime(start, dealt, contraction(start)) == []

    def test_of_what_is_not_finite(self) -> None:
        """Residuals of 1e160 have squares that overflow."""
        start, _ = told()
        start.gradients[start.honest[0]][:] = np.inf
        dealt = [np.arange(30)] * 10
        assert cubic_regime(start, dealt, contraction(start))[-1].endswith("is not finite")


class TestCheck:
    def test_of_the_toy(self) -> None:
        """P2 §4: f_1 and f_2 have curvatures of 2 and 4 to either side, and quadratics have L_2 = 0."""
        text = forecast(CONFIGS / "saddle-toy.toml", [])
        assert "ε_H = 1, " in text
        assert "L_1 = 3, L_2 = 0\n" in text
        assert "P2 gradient bound: does not hold: γ/η = 1, needs 3" in text
        assert "P1" not in text
