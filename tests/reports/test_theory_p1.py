"""The formulas of P1 against the same written otherwise, their limits, and what their proofs give."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import e, inf, sqrt
from typing import Any

import numpy as np
import pytest

from mpirobust.reports import theory_p1 as theory
from mpirobust.reports.theory_p1 import THEOREM1, THEOREM2, THEOREM3, Setting, Theorem

SETTING = Setting(d=4, n=100, m=10, v=0.5, D=2.0, L_hat=3.0, L_F=1.5, sigma=2.0, lambda0=0.25, c=0.1)
THEOREMS = pytest.mark.parametrize("theorem", [THEOREM1, THEOREM2, THEOREM3], ids=lambda each: f"theorem-{each.number}")
FRACTIONS = [(alpha, beta) for alpha, beta in product(np.linspace(0, 0.49, 50), repeat=2) if alpha <= beta]


class TestRates:
    def test_epsilon1_by_hand(self) -> None:
        """log(1 + 2·100·2·3·4) = log 4801 = 8.4766; d/n of it is 0.33906, its root 0.58229 is larger; v √d = 1."""
        assert theory.epsilon1(SETTING) == pytest.approx(0.58229 + 0.01, abs=1e-5)

    def test_epsilon2_by_hand(self) -> None:
        """(1 - α)mn = 800: log(1 + 2·800·2·3·4) = log 38401 = 10.5558; /200 = 0.052779, root 0.229737."""
        assert theory.epsilon2(SETTING, alpha=0.2) == pytest.approx(0.229737, abs=1e-6)

    def test_few_rows_take_the_other_branch(self) -> None:
        """v √d d/n log(1 + 2nDL̂d) where d/n log is above 1; D chosen so that the log is 2."""
        few = replace(SETTING, d=9, n=3, D=(e**2 - 1) / (2 * 3 * 3.0 * 9))
        assert theory.epsilon1(few) == pytest.approx(0.5 * 3 * (3 * 2) + 1 / 3)

    def test_without_byzantine_workers_more_of_them_are_as_more_rows(self) -> None:
        one = replace(SETTING, m=1)
        assert theory.epsilon2(one, 0.0) == pytest.approx(theory.epsilon1(one) - 1 / one.n)
        assert theory.epsilon2(replace(one, m=7), 0.0) == theory.epsilon2(replace(one, n=700), 0.0)

    def test_epsilon_by_hand(self) -> None:
        """δ = 0.75, α = 0.1, β = 0.2: √(1-δ) = 0.5, factors 0.8/0.8 = 1 and 0.9/0.8, and 2(1 + 4) = 10."""
        e1, e2 = theory.epsilon1(SETTING), theory.epsilon2(SETTING, 0.1)
        assert theory.epsilon(SETTING, 0.75, 0.1, 0.2) == pytest.approx(10 * (e1**2 + 1.265625 * e2**2))
        assert theory.epsilon_tilde(SETTING, 0.75, 0.1, 0.2) == pytest.approx(
            10 * ((0.9 / 0.8 * e1) ** 2 + 1.265625 * e2**2)
        )

    def test_an_arbitrary_adversary_costs_more_where_there_is_compression(self) -> None:
        """P1 §6.1 has ε̃ > ε; they are equal at δ = 1 and at β = 0."""
        for (alpha, beta), delta in product(FRACTIONS[::37], (0.1, 0.6, 1.0)):
            more = theory.epsilon_tilde(SETTING, delta, alpha, beta) - theory.epsilon(SETTING, delta, alpha, beta)
            assert more > 0 if delta < 1 and beta > 0 else more == 0, (alpha, beta, delta)

    def test_big_deltas_by_hand(self) -> None:
        """δ = 0.75, α = 0.1, β = 0.2: (1.5/0.8)² (0.01 + 0.04 + 0.01) = 0.2109375, and 3 (1-δ)/δ σ² = 4."""
        first, second, third = theory.big_deltas(SETTING, 0.75, 0.1, 0.2)
        e1, e2 = theory.epsilon1(SETTING) ** 2, theory.epsilon2(SETTING, 0.1) ** 2
        assert first == pytest.approx(45 * 0.2109375 * (e1 + 4) + 500 * e2)
        assert second == pytest.approx(45 + 30 * e2 + 180 * 0.2109375 * (e1 + 4))
        assert third == pytest.approx(25.01 * 2.25 * 40)

    def test_without_byzantine_workers(self) -> None:
        """P1 Remark 12: α = β = 0."""
        s, L, off = SETTING, SETTING.L_F, 3 * (1 - 0.6) / 0.6 * SETTING.sigma**2
        e2 = theory.epsilon2(s, 0.0) ** 2
        expected = 50 * e2 / s.c, (L**2 / 2 * off + 2 * L * e2) / s.c, (L**2 / 100 + 25 * L**2) * off / s.c
        assert theory.big_deltas(s, 0.6, 0.0, 0.0) == pytest.approx(expected)

    def test_without_compression(self) -> None:
        """P1 Remark 13: δ = 1. Δ3 is 0, σ has no say, and without L the other two are a sum of ε1² and ε2²."""
        first, second, third = theory.big_deltas(SETTING, 1.0, 0.1, 0.1)
        assert third == 0
        assert theory.big_deltas(replace(SETTING, sigma=0.0), 1.0, 0.1, 0.1) == (first, second, third)
        e1, e2 = theory.epsilon1(SETTING) ** 2, theory.epsilon2(SETTING, 0.1) ** 2
        assert first * SETTING.c == pytest.approx(9 / 81 * e1 + 50 * e2)  # (1/0.9)² 2 (0.1)² 9/2 = 1/9

    @pytest.mark.parametrize(("name", "value"), [("d", 0), ("sigma", -1.0), ("c", 0.0), ("lambda0", float("nan"))])
    def test_constants_are_positive(self, name: str, value: float) -> None:
        changed: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"{name} = "):
            replace(SETTING, **changed)


class TestConditions:
    def test_by_hand(self) -> None:
        """α = 0.1, β = 0.11: δ0 = 1 - 0.89² = 0.2079, δ̃0 = 4·0.11/1.11² = 0.357114; 0.4 - 0.09 + 0.004, 0.4 (0.9)²."""
        assert theory.theorem1(0.6, 0.1, 0.11) == pytest.approx(0.6 - 0.2079 - 0.314)
        assert theory.theorem2(0.6, 0.1, 0.11) == pytest.approx(0.6 - 0.44 / 1.2321 - 0.324)
        assert theory.theorem3(0.75, 0.1, 0.2) == pytest.approx(0.107 - 0.2109375)
        assert theory.proof3(0.75, 0.1, 0.2) == pytest.approx(0.96 / 9 - 0.2109375)
        assert theory.proof1(0.75, 0.1, 0.2) == pytest.approx(0.8 - 0.2 - 0.5)
        assert theory.proof2(0.75, 0.1, 0.2) == pytest.approx(0.8 - 0.2 - 0.6)

    @pytest.mark.parametrize("margin", [theory.theorem1, theory.theorem2, theory.proof1, theory.proof2])
    def test_lambda0_tightens(self, margin: theory.Margin) -> None:
        values = [margin(0.8, 0.05, 0.1, lambda0) for lambda0 in (0.0, 0.01, 0.5)]  # type: ignore[call-arg]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == 3

    def test_with_lambda0_by_hand(self) -> None:
        assert theory.theorem1(1.0, 0.0, 0.5, lambda0=1.0) == pytest.approx(0.125)
        assert theory.theorem2(1.0, 0.0, 0.5, lambda0=1.0) == pytest.approx(1 / 18)

    @THEOREMS
    def test_more_compression_more_byzantine_or_more_trimming_is_harder(self, theorem: Theorem) -> None:
        for margin, delta in product((theorem.stated, theorem.proved), (0.3, 0.7, 1.0)):
            for alpha, beta in ((0.0, 0.0), (0.05, 0.1), (0.2, 0.2)):
                here = margin(delta, alpha, beta)
                assert margin(delta - 0.01, alpha, beta) < here or alpha == beta == 0
                assert margin(delta, alpha + 0.01, beta + 0.01) < here
                assert margin(delta, alpha, beta + 0.01) < here

    def test_the_proofs_ask_for_a_factor_below_one(self) -> None:
        """P1 §10.1 with λ0 = 0: `((√(1-δ) + 2α)/(1-β))² < 1`, and with (1+β) before the root."""
        for (alpha, beta), delta in product(FRACTIONS[::11], np.linspace(0, 1, 21)):
            for proof, stretch in ((theory.proof1, 1), (theory.proof2, 1 + beta)):
                factor = (stretch * sqrt(1 - delta) + 2 * alpha) / (1 - beta)
                holds = (proof(delta, alpha, beta) > 0) == (factor < 1) or factor == pytest.approx(1)
                assert holds, (alpha, beta, delta)

    def test_the_second_theorem_holds_where_it_says(self) -> None:
        for alpha, beta in FRACTIONS:
            stated = theory.smallest_delta(theory.theorem2, alpha, beta)
            proved = theory.smallest_delta(theory.proof2, alpha, beta)
            assert stated is None or (proved is not None and proved <= stated + 1e-12)

    def test_the_first_and_the_third_say_a_little_too_much(self) -> None:
        """By α²(1 - 4α) in δ where β = α, 0.0093 at most; 8α² in place of 9α² would hold. And 0.107 is rounded up."""
        for alpha in np.linspace(0.01, 0.24, 24):
            stated = theory.smallest_delta(theory.theorem1, alpha, alpha)
            proved = theory.smallest_delta(theory.proof1, alpha, alpha)
            assert stated is not None
            assert proved is not None
            assert proved - stated == pytest.approx(alpha**2 * (1 - 4 * alpha))
            assert stated + alpha**2 >= proved
        assert theory.theorem3(1.0, 0.0, 0.0) - theory.proof3(1.0, 0.0, 0.0) == pytest.approx(1 / 3000)

    def test_lemma_5_holds_down_to_three_quarters(self) -> None:
        """Q(x) = (1 - √(1-δ)) x meets Def. 4 with equality; under a steady gradient its residual is the longest."""
        for delta in (0.4, 0.7, 0.74, 0.76, 0.9):
            residual = 0.0
            for _ in range(1000):
                residual = sqrt(1 - delta) * (1 + residual)  # in units of γσ
            assert residual**2 == pytest.approx(theory.residual(delta))
            assert (residual**2 <= theory.printed_residual(delta)) == (delta > 0.75)

    def test_no_residual_is_longer(self) -> None:
        """Errors of √(1-δ) in a direction drawn anew, or along what is compressed; gradients of length 1."""
        rng = np.random.default_rng(7)
        for delta in (0.1, 0.5, 0.8):
            residual = np.zeros(3)
            for number in range(400):
                gradient, error = rng.standard_normal((2, 3))
                p = residual + (residual if number % 2 else gradient) / np.linalg.norm(
                    residual if number % 2 else gradient
                )
                error = p if number % 3 else error
                residual = sqrt(1 - delta) * np.linalg.norm(p) * error / np.linalg.norm(error)
                assert residual @ residual <= theory.residual(delta) * (1 + 1e-12)


def fallen(kappa: float, step: float) -> float:
    """F after many steps of descent on x²/2 from 1, the error κ times the gradient of the worse sign."""
    x = 1.0
    for _ in range(2000):
        x = max((x - step * (x + error * x) for error in (kappa, -kappa)), key=abs)
    return x * x / 2


class TestSteps:
    @pytest.mark.parametrize("kappa", [0.0, 0.3, 0.6, 0.9])
    def test_the_printed_proof_ends_where_its_factor_is_zero(self, kappa: float) -> None:
        """P1 §10.1: (γ/2 - γ²L) ||∇F||² <= fall + (γ/2 + γ²L) κ² ||∇F||², here with γ = c and L = 1."""
        c = theory.largest_step(kappa)
        assert c / 2 - c**2 - (c / 2 + c**2) * kappa**2 == pytest.approx(0)
        for less, sign in ((0.99, 1), (1.01, -1)):
            assert sign * (less * c / 2 - (less * c) ** 2 - (less * c / 2 + (less * c) ** 2) * kappa**2) > 0

    def test_no_step_without_a_contraction(self) -> None:
        assert theory.largest_step(0.0) == 0.5
        assert theory.largest_step(1.0) == 0
        assert theory.largest_step(1.1) < 0

    def test_of_the_quickstart(self) -> None:
        """κ = 0.91 at δ = 0.628, α = 0.1, β = 0.11: γL < 0.047 under Option I."""
        kappa = theory.factor1(0.628, 0.1, 0.11)
        assert kappa == pytest.approx(0.9100, abs=1e-4)
        assert theory.largest_step(kappa) == pytest.approx(0.0470, abs=1e-4)
        assert theory.factor2(0.628, 0.1, 0.11) == pytest.approx((1.11 * sqrt(0.372) + 0.2) / 0.89)

    @pytest.mark.parametrize("kappa", [0.0, 0.3, 0.6, 0.9])
    def test_a_step_of_one_over_l_is_small_enough(self, kappa: float) -> None:
        """On x²/2 the iterates converge for all γL < 2/(1+κ), and from there on no more."""
        assert fallen(kappa, 1.0) < 1e-12
        assert fallen(kappa, 0.98 * 2 / (1 + kappa)) < fallen(kappa, 1.02 * 2 / (1 + kappa))

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("share", [0.1, 1.0])
    def test_no_run_stays_above_the_bound(self, seed: int, share: float) -> None:
        """Descent on a non-convex function with errors of the largest admitted length, uphill or drawn."""
        rng = np.random.default_rng(seed)
        kappa, off, L = rng.uniform(0, 0.95), rng.uniform(0, 0.2), 3.0
        A = np.diag(rng.uniform(0, 2, 4))  # F = 1/2 xᵀAx - Σ cos x_k, L_F = 3, F* >= -4
        x = rng.standard_normal(4) * 3
        first = x @ A @ x / 2 - np.cos(x).sum()
        least, gamma, rounds = np.inf, share / L, 60
        for t in range(rounds + 1):
            g = A @ x + np.sin(x)
            least = min(least, float(g @ g))
            error = -g if t % 2 else rng.standard_normal(4)
            x = x - gamma * (g + (kappa * np.linalg.norm(g) + off) * error / np.linalg.norm(error))
        assert least <= sum(theory.sharp_bound(kappa, off, first + 4, gamma, rounds))

    def test_the_bound_by_hand(self) -> None:
        """κ = 1/2: 2·3/(1/2·0.1·100) + (0.2/0.5)². It is Young's best: (κg + e)² <= κg² + e²/(1-κ)."""
        assert theory.sharp_bound(0.5, 0.2, 3.0, 0.1, 99) == pytest.approx((1.2, 0.16))
        assert theory.sharp_bound(1.0, 0.2, 3.0, 0.1, 99) == (inf, inf)
        for lam in (0.2, 0.9, 1.0, 1.1, 5.0):  # the floor by P1's ε at λ0: never below that at (1-κ)/κ = 1
            assert (1 + 1 / lam) * 0.2**2 / (1 - (1 + lam) * 0.25) >= 0.16 - 1e-12 or (1 + lam) * 0.25 >= 1

    def test_deviations_by_hand(self) -> None:
        """δ = 0.75, α = 0.1, β = 0.2: (0.5 + 0.3)/0.8 ε1 + 0.9/0.8 ε2, and 0.6 in place of 0.5."""
        e1, e2 = theory.epsilon1(SETTING), theory.epsilon2(SETTING, 0.1)
        assert theory.deviation1(SETTING, 0.75, 0.1, 0.2) == pytest.approx(e1 + 1.125 * e2)
        assert theory.deviation2(SETTING, 0.75, 0.1, 0.2) == pytest.approx(1.125 * e1 + 1.125 * e2)

    @pytest.mark.parametrize("delta", [0.3, 0.628, 1.0])
    def test_epsilon_bounds_the_square_of_the_deviation(self, delta: float) -> None:
        """ε is `2 (1 + 1/λ0)` times the squares, and (a + b)² <= 2 (a² + b²)."""
        share = 1 + 1 / SETTING.lambda0
        for name, off in (("epsilon", theory.deviation1), ("epsilon_tilde", theory.deviation2)):
            epsilon = getattr(theory, name)(SETTING, delta, 0.1, 0.2)
            assert (
                share * off(SETTING, delta, 0.1, 0.2) ** 2 <= epsilon <= 2 * share * off(SETTING, delta, 0.1, 0.2) ** 2
            )

    def test_the_third_theorem_has_no_universal_constant(self) -> None:
        """0.48 - 2γL at α = β = 0, δ = 1; and by P1 (16), with 9 γ² X of Lemma 6 for ||T̃||², X = 0.06 (1.5/0.8)²."""
        assert theory.share3(1.0, 0.0, 0.0, 2.0, 0.1) == pytest.approx(0.48 - 0.4)
        pull, gamma, L = 0.06 * (1.5 / 0.8) ** 2, 0.01, 2.0
        by_hand = 0.5 - 0.02 - 2 * L * gamma - (1 / (2 * gamma) + 0.5 + L) * 9 * gamma * pull
        assert theory.share3(0.75, 0.1, 0.2, L, gamma) == pytest.approx(by_hand)

    def test_the_largest_step_of_the_third(self) -> None:
        assert theory.largest_step3(1.0, 0.0, 0.0, 2.0) == pytest.approx(0.12)
        for alpha, beta in ((0.0, 0.05), (0.05, 0.05), (0.1, 0.11)):
            step = theory.largest_step3(0.628, alpha, beta, 1.0)
            assert theory.share3(0.628, alpha, beta, 1.0, step) == pytest.approx(0, abs=1e-15)
            assert (step > 0) == (theory.proof3(0.628, alpha, beta) > 0)
        assert theory.largest_step3(0.628, 0.1, 0.11, 1.0) == pytest.approx(0.0513, abs=1e-4)

    def test_corrected_deltas(self) -> None:
        """δ = 0.36, √(1-δ) = 0.8: (0.64)(1.8/0.36)² = 16 in place of 3·0.64/0.36 = 16/3; σ² = 4 of each."""
        assert theory.residual(0.36) == pytest.approx(16)
        printed = theory.big_deltas(SETTING, 0.36, 0.0, 0.0)
        corrected = theory.big_deltas(SETTING, 0.36, 0.0, 0.0, theory.residual)
        L2, e2 = SETTING.L_F**2, theory.epsilon2(SETTING, 0.0) ** 2
        assert corrected[0] == printed[0]
        assert corrected[1] == pytest.approx((L2 / 2 * 64 + 2 * SETTING.L_F * e2) / SETTING.c)
        assert corrected[2] == pytest.approx(3 * printed[2])
        for delta in (0.76, 0.9, 1.0):
            ends = (
                theory.big_deltas(SETTING, delta, 0.1, 0.2, each)[1]
                for each in (theory.residual, theory.printed_residual)
            )
            assert next(ends) <= next(ends)

    def test_the_size_of_w(self) -> None:
        """γT((1+κ)M + e); and P1 Ass. 6 at δ = 3/4, where `residual` is as printed, and σ = 2."""
        assert theory.radius1(0.5, 0.2, 3.0, 0.1, 40) == pytest.approx(4 * 4.7)
        e1, e2 = theory.epsilon1(SETTING), theory.epsilon2(SETTING, 0.1)
        assert theory.residual(0.75) == pytest.approx(theory.printed_residual(0.75)) == pytest.approx(1)
        expected = e2 + 3 + 6 * 0.2 * 1.5 / 0.8 * (e1 + 3 + 2) + 4
        assert theory.radius3(SETTING, 0.75, 0.1, 0.2, 3.0, 0.1, 40) == pytest.approx(4 * expected)

    def test_theorem_3_admits_every_step_on_a_plane(self) -> None:
        assert theory.largest_step3(0.5, 0.0, 0.0, 0.0) == np.inf


class TestBorders:
    @THEOREMS
    @pytest.mark.parametrize("slack", [0.0, 0.01, 0.1])
    def test_are_inverse_to_each_other(self, theorem: Theorem, slack: float) -> None:
        found = 0
        for margin, delta in product((theorem.stated, theorem.proved), (0.25, 0.5, 0.8, 0.95)):
            alpha = theory.largest_alpha(margin, delta, slack)
            if alpha is None:
                assert margin(delta, 0.0, slack) <= 0
                continue
            found += 1
            assert margin(delta, alpha, alpha + slack) == pytest.approx(0, abs=1e-12)
            assert theory.smallest_delta(margin, alpha, alpha + slack) == pytest.approx(delta)
        assert found

    def test_closed_forms(self) -> None:
        """At δ = 1: (2α - 1)(2α² - 4α + 1) = 0, 2α < 1 - α, and √(2 α²)/(1 - α) = √0.107."""
        assert theory.largest_alpha(theory.theorem1, 1.0) == pytest.approx(1 - sqrt(0.5))
        assert theory.largest_alpha(theory.proof1, 1.0) == pytest.approx(1 / 3)
        root = sqrt(0.107 / 2)
        assert theory.largest_alpha(theory.theorem3, 1.0) == pytest.approx(root / (1 + root))

    def test_beyond_the_ends(self) -> None:
        assert theory.smallest_delta(theory.theorem2, 0.2, 0.3) is None
        assert theory.smallest_delta(theory.theorem3, 0.01, 0.01) == 0.0
        assert theory.smallest_delta(theory.theorem1, 0.0, 0.0) == 0.0
        assert theory.largest_alpha(theory.theorem2, 0.2, slack=0.1) is None
        assert theory.largest_alpha(lambda *_: 1.0, 0.5, slack=0.1) == pytest.approx(0.4)

    def test_of_the_regression_of_the_paper(self) -> None:
        """α = 0.1, β = 0.11; 2/π = 0.637 is δ of ℓ1-QSGD on Gaussian vectors: enough for Theorem 2's proof only."""
        asked = [theory.smallest_delta(each, 0.1, 0.11) for each in (theory.theorem1, theory.theorem2, theory.proof2)]
        assert asked == pytest.approx([0.5219, 0.681114, 0.613587], abs=1e-6)
        assert theory.largest_alpha(theory.theorem2, 2 / np.pi, 0.01) == pytest.approx(0.091483, abs=1e-6)
