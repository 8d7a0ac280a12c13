"""The formulas of P2's Theorem 4 against the sums of its proof, worker by worker, and against runs of the algorithm."""

from __future__ import annotations

from dataclasses import replace
from math import inf, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from mpirobust.cubic._secular import minimiser
from mpirobust.cubic.base import CubicModel
from mpirobust.reports import theory_p2 as theory
from mpirobust.reports.theory_p2 import Cubic

RUN = Cubic(
    m=10,
    alpha=0.1,
    beta=0.3,
    delta=0.75,
    M=400.0,
    gamma=0.5,
    eta=0.4,
    L=1.5,
    L1=2.0,
    L2=0.7,
    eps_gradient=0.2,
    eps_hessian=0.3,
    longest=0.6,
)
RUNS = [
    RUN,
    replace(RUN, delta=1.0),
    replace(RUN, alpha=0.0, beta=0.0, delta=1.0),
    replace(RUN, alpha=0.2, beta=0.4, delta=0.19, gamma=0.1),
    replace(RUN, m=20, gamma=2.0, eta=1.0, eps_hessian=5.0),
]
each = pytest.mark.parametrize("run", RUNS)


def rise(s: Cubic) -> float:
    """The bound on `f(x⁺) - f(x)` of P2 (24) when all ||s_i|| are Γ and sᵀHs is as negative as (12) lets it be.

    Summed over the workers, with the estimates of §5.2 that need no algebra, and nothing else.
    """
    b, kept, honest, bad = s.stretch, round((1 - s.beta) * s.m), round((1 - s.alpha) * s.m), round(s.alpha * s.m)
    r, g = s.longest, s.gamma
    bend = -s.M * g / 2 * r**3  # sᵀHs, by (12)
    falls = -s.M / 4 * g**2 * r**3  # gᵀs + γ/2 sᵀHs, by (13)
    first = sum(falls - g / 2 * bend + s.L * sqrt(1 - s.delta) * r + s.eps_gradient * r for _ in range(honest))
    first += sum(s.L * b * r for _ in range(honest)) + sum(s.L * b * r for _ in range(bad))  # trimmed, Byzantine
    own = sum(bend + (s.eps_hessian + s.L1) * r**2 + s.L1 * (b * r) ** 2 for _ in range(honest))
    own += sum(s.L1 * (b * r) ** 2 for _ in range(honest)) + sum(s.L1 * (b * r) ** 2 for _ in range(bad))
    crossed = (kept - 1) * s.L1 * sum((b * r) ** 2 for _ in range(honest + bad))  # Cauchy, Schwarz
    third = sum((b * r) ** 3 for _ in range(honest + bad))
    return s.eta / kept * first + s.eta**2 / (2 * kept**2) * (own + crossed) + s.L2 * s.eta**3 / (6 * kept) * third


class TestOneRound:
    @each
    def test_is_the_sum_over_the_workers(self, run: Cubic) -> None:
        """`-λ_comp ||ηs||³ + λ_Γ`, where the Hessian terms of Terms 1 and 2 have a factor of one sign."""
        assert run.gamma >= theory.condition_gamma(run)
        closed = -theory.lambda_comp(run) * (run.eta * run.longest) ** 3 + theory.lambda_gamma(run)
        assert closed == pytest.approx(rise(run), rel=1e-12)

    def test_below_the_condition_gamma_the_sign_is_lost(self) -> None:
        """The factor of Σ sᵀHs, -η/(2|U|) (γ - η/|U|), which has to be at most 0: then -sᵀHs may be bounded."""
        for ratio in (0.9, 1.0, 1.1):
            run = replace(RUN, gamma=ratio * theory.condition_gamma(RUN))
            kept = (1 - run.beta) * run.m
            factor = -run.eta / kept * run.gamma / 2 + run.eta**2 / (2 * kept**2)
            assert (factor <= 1e-18) == (ratio >= 1)

    @each
    def test_lambda_comp_is_zero_at_the_smallest_m(self, run: Cubic) -> None:
        needed = theory.condition_comp(run)
        assert theory.lambda_comp(replace(run, M=needed)) == pytest.approx(0, abs=1e-12)
        assert theory.lambda_comp(replace(run, M=1.01 * needed)) > 0 > theory.lambda_comp(replace(run, M=0.99 * needed))

    def test_by_hand(self) -> None:
        """b = 1.5, b³ = 3.375; 4 (0.8)² 10 0.7 3.375 = 60.48, 2/3 0.7 0.8 10 0.7 3.375 = 8.82; 0.4/7."""
        assert theory.condition31(RUN) == pytest.approx(60.48)
        assert theory.condition_comp(RUN) == pytest.approx(8.82)
        assert theory.condition_gamma(RUN) == pytest.approx(0.4 / 7)
        assert theory.lambda_comp(RUN) == pytest.approx((0.5 * 400 / (4 * 0.49 * 0.4 * 100) - 0.7 * 3.375 / 42) * 9)
        assert theory.printed_condition_gamma(RUN) == pytest.approx(2 * 0.9 / 0.7 * 2 * 1.5 * 0.4 / 1.7)
        assert theory.printed_condition_gamma(replace(RUN, eps_hessian=2.0)) == inf

    @each
    def test_what_was_lost_in_print(self, run: Cubic) -> None:
        """One 1-β below M; a factor 1-α too many; and b² from (1-β)m."""
        below = run.gamma * run.M / (4 * run.eta * run.m) * (1 - run.alpha) / (1 - run.beta)
        lost = below * (1 / (1 - run.beta) - 1)
        assert theory.lambda_comp(run) - theory.printed_lambda_comp(run) == pytest.approx(lost)
        step, b, kept = run.eta * run.longest, run.stretch, 1 - run.beta
        first = ((1 - run.alpha) * (run.L * (b - 1) + run.eps_gradient) + run.L * b) * step / kept
        honest = run.L1 * run.m * kept * (b**2 - 1) * (1 - run.alpha) / (2 * kept**2 * run.m) * step**2
        lost = run.alpha * first + honest
        assert theory.lambda_gamma(run) - theory.printed_lambda_gamma(run) == pytest.approx(lost)

    def test_the_stronger_condition_on_m_changes_with_gamma(self) -> None:
        for ratio, stronger in ((1.0, True), (8.0, True), (9.0, False)):  # 6/(1-β) = 8.57
            run = replace(RUN, eta=1.0, gamma=ratio)
            assert (theory.condition31(run) > theory.condition_comp(run)) == stronger


def gradient_coefficients(s: Cubic) -> NDArray[np.float64]:
    """The factors of mean ||ηs||², mean ||ηs|| and η Γ in the bound on ||∇f(x⁺)||, summed over the workers."""
    b, kept, honest = s.stretch, (1 - s.beta) * s.m, (1 - s.alpha) * s.m
    square = s.L2 / 2 * b**2 * honest / kept + s.M / 2 * (s.gamma / s.eta) ** 2
    by_worker = abs(s.eta / kept - s.gamma / honest) * s.L1 * b  # (η/|U| - γ/|M|) ∇²f Q(s)
    by_worker += s.gamma / honest * (s.L1 * sqrt(1 - s.delta) + s.eps_hessian)  # ∇²f (Q(s) - s), (∇²f - H) s
    by_worker += s.eta / kept * s.L1 * b  # trimmed
    return np.array([square, by_worker * honest / s.eta, s.alpha * s.m / kept * s.L1 * b])


class TestTheorem:
    @each
    def test_the_gradient_bound_is_the_sum_over_the_workers(self, run: Cubic) -> None:
        square, linear, byzantine = gradient_coefficients(run)
        assert theory.chi1(run, 1.0) == pytest.approx(square)
        assert theory.slope(run) == pytest.approx(linear)
        fall, rounds = 3.0, 50
        mean = (theory.psi_comp(run, fall, rounds) / rounds) ** (1 / 3)
        step = run.eta * run.longest
        moved = run.L2 / 2 * run.alpha / (1 - run.beta) * (run.stretch * step) ** 2
        expected = square * mean**2 + linear * mean + byzantine * step + moved + run.eps_gradient
        assert theory.theorem4(run, fall, rounds).gradient == pytest.approx(expected)

    @each
    def test_the_curvature_bound(self, run: Cubic) -> None:
        """λ_min(H_i) >= -Mγ/2 ||s_i|| by (12), ε_H, and L2 times the length of the step."""
        fall, rounds = 3.0, 50
        mean = (theory.psi_comp(run, fall, rounds) / rounds) ** (1 / 3)
        honest, bad, kept = (each * run.m for each in (1 - run.alpha, run.alpha, 1 - run.beta))
        moved = run.stretch / kept * (honest * mean + bad * run.eta * run.longest)
        expected = run.M * run.gamma / 2 * mean / run.eta + run.eps_hessian + run.L2 * moved
        assert theory.theorem4(run, fall, rounds).curvature == pytest.approx(expected)

    @each
    def test_the_printed_slope_is_that_without_the_absolute_value(self, run: Cubic) -> None:
        """Zero at the printed γ, where the true one is positive, as it is for every γ."""
        kept, b = (1 - run.alpha) / (1 - run.beta), run.stretch
        printed = 2 * kept * run.L1 * b - run.gamma / run.eta * (run.L1 - run.eps_hessian)
        ratio = run.gamma / run.eta
        assert theory.slope(run) - printed == pytest.approx(2 * run.L1 * b * max(0.0, ratio - kept))
        assert theory.slope(run) > 0
        at = theory.printed_condition_gamma(run)
        if at < inf:
            assert at / run.eta > 2
            assert 2 * kept * run.L1 * b == pytest.approx(at / run.eta * (run.L1 - run.eps_hessian))
            assert theory.slope(replace(run, gamma=at)) > 2 * run.L1

    def test_psi_and_chi_by_hand(self) -> None:
        run = replace(RUN, alpha=0.0, beta=0.0, delta=1.0, gamma=0.4, M=100.0)
        comp = 100 / 40 - 0.7 / 6  # [100/(4·100) - 0.7/60] 10
        step = 0.4 * 0.6
        rises = (0.2 + 1.5) * step + (0.3 + 2 * 12) / 20 * step**2
        assert theory.psi_comp(run, 2.0, 30) == pytest.approx((2 + 30 * rises) / comp)
        assert theory.chi1(run, 8.0) == pytest.approx((0.35 + 50) * 4)
        assert theory.chi2(run, 8.0) == pytest.approx((50 + 0.7) * 2)
        assert theory.psi_comp(replace(run, M=1.0), 2.0, 30) == inf
        assert theory.psi_comp(replace(run, M=1.01 * theory.condition_comp(run)), 2.0, 30) < inf
        assert theory.theorem4(replace(run, M=1.0), 2.0, 30) == theory.Bound(inf, inf)

    def test_the_corollaries_are_the_theorem_at_its_ends(self) -> None:
        honest = replace(RUN, alpha=0.0, beta=0.0, delta=1.0)
        assert theory.corollary8(RUN, 3.0, 50) == theory.theorem4(replace(RUN, delta=1.0), 3.0, 50)
        assert theory.corollary9(RUN, 3.0, 50) == theory.theorem4(honest, 3.0, 50) == theory.corollary8(honest, 3.0, 50)
        assert theory.corollary9(RUN, 3.0, 50).gradient < theory.theorem4(RUN, 3.0, 50).gradient

    def test_the_orders_that_the_theorem_states(self) -> None:
        """χ1 and χ2 at ψ = 1, L2 = 1, η = γ and M = 2 m b³: what stands in O(...) below P2 (2) and (3)."""
        for run in RUNS:
            b, kept = run.stretch, (1 - run.alpha) / (1 - run.beta)
            run = replace(run, L2=1.0, gamma=run.eta, M=2 * run.m * b**3)
            assert theory.chi1(run, 1.0) == pytest.approx(kept * b**2 / 2 + run.m * b**3)
            assert theory.chi2(run, 1.0) == pytest.approx(run.m * b**3 + b * kept)

    def test_with_eta_and_gamma_of_c_over_t_the_bound_does_not_vanish(self) -> None:
        """P2 has λ_Γ = O(1/T) from η Γ = O(1/T); but Γ is max ||u||/γ."""
        rises = [theory.lambda_gamma(theory.scheduled(RUN, 0.5 / rounds)) for rounds in (1, 10, 10**6)]
        assert rises == pytest.approx([theory.lambda_gamma(RUN)] * 3)
        far = [theory.theorem4(theory.scheduled(RUN, 0.5 / rounds), 3.0, rounds) for rounds in (10**6, 10**9)]
        assert far[0].gradient == pytest.approx(far[1].gradient, rel=1e-5)
        assert far[1].gradient > theory.slope(RUN) * (theory.lambda_gamma(RUN) / theory.lambda_comp(RUN)) ** (1 / 3)

    def test_no_m_makes_it_say_anything(self) -> None:
        """χ1/T^(2/3) >= 1.26 ||g|| for every T if M ||u|| >= 2 ||H||: workers alike, all constants as at the start."""
        rng = np.random.default_rng(11)
        tried = 0
        for _ in range(400):
            H = rng.standard_normal((3, 3)) * 10 ** rng.uniform(-2, 1)
            H, g = (H + H.T) / 2, rng.standard_normal(3)
            M, gamma, m, alpha = 10 ** rng.uniform(-1, 4), 10 ** rng.uniform(-1, 1), int(rng.integers(2, 40)), 0.1
            p, apart = minimiser(H, g, CubicModel(g, H.dot, M, 1.0))
            u, long = float(np.linalg.norm(p + apart)), float(np.linalg.norm(g))
            bent = float(np.linalg.norm(H, 2))
            run = Cubic(m, alpha, 0.2, rng.uniform(0.1, 1), M, gamma, 1.0, long, bent, 0.0, 0.0, 0.0, u / gamma)
            if gamma < theory.condition_gamma(run) or M * u < 2 * bent:
                continue
            tried += 1
            for rounds in (1, 10**3, 10**9):
                leading = theory.chi1(run, theory.psi_comp(run, 0.0, rounds)) / rounds ** (2 / 3)
                assert leading >= 4 ** (2 / 3) / 2 * long
        assert tried > 50


class Bowls:
    """`f_i(x) = 1/2 xᵀA_i x - b_iᵀx + Σ_k c sin(x_k)`: L2 = c, L1 = max ||A_i|| + c, workers that differ."""

    def __init__(self, rng: np.random.Generator, m: int, d: int, spread: float) -> None:
        common = rng.standard_normal((d, d)) / sqrt(d)
        drawn = [common + spread * rng.standard_normal((d, d)) for _ in range(m)]
        self.A = [(each + each.T) / 2 for each in drawn]
        self.b = [rng.standard_normal(d) for _ in range(m)]
        self.c = 0.5

    def gradient(self, i: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.A[i] @ x - self.b[i] + self.c * np.cos(x))

    def hessian(self, i: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.A[i] - self.c * np.diag(np.sin(x)))

    def value(self, x: NDArray[np.float64], over: range) -> float:
        each = [x @ self.A[i] @ x / 2 - self.b[i] @ x + self.c * np.sin(x).sum() for i in over]
        return float(np.mean(each))


def topk(s: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    small = np.argsort(np.abs(s))[: s.size - k]
    out = s.copy()
    out[small] = 0
    return out


@pytest.mark.parametrize("seed", range(8))
def test_no_round_rises_by_more(seed: int) -> None:
    """Alg. 1 with top-k and messages that pull uphill as far as the trimming lets them, all constants measured."""
    rng = np.random.default_rng(seed)
    m, d, bad, drop, k = 8, 5, 1, 2, 3
    bowls, honest = Bowls(rng, m, d, 0.05), range(m - bad)
    x = rng.standard_normal(d)
    gradients, hessians = ([one(i, x) for i in honest] for one in (bowls.gradient, bowls.hessian))
    g, H = np.mean(gradients, axis=0), np.mean(hessians, axis=0)
    M, gamma, eta = 60.0, 0.8, 0.7
    steps = []
    for own, bend in zip(gradients, hessians, strict=True):
        p, u = minimiser(bend, own, CubicModel(own, bend.dot, M, gamma))
        steps.append(p + u)
    sent = [topk(s, k) for s in steps]
    longest = max(np.linalg.norm(s) for s in sent)
    sent.append(longest * g / np.linalg.norm(g))  # uphill, and as long as may be kept
    order = np.argsort([np.linalg.norm(s) * (1 - 1e-9 * (at >= m - bad)) for at, s in enumerate(sent)])
    moved = eta * np.mean([sent[i] for i in order[: m - drop]], axis=0)
    run = Cubic(
        m=m,
        alpha=bad / m,
        beta=drop / m,
        delta=1 - max(float(np.sum((topk(s, k) - s) ** 2) / (s @ s)) for s in steps),
        M=M,
        gamma=gamma,
        eta=eta,
        L=float(np.linalg.norm(g)),
        L1=float(np.linalg.norm(H, 2)),
        L2=bowls.c,
        eps_gradient=max(float(np.linalg.norm(each - g)) for each in gradients),
        eps_hessian=max(float(np.linalg.norm(each - H, 2)) for each in hessians),
        longest=max(float(np.linalg.norm(s)) for s in steps),
    )
    rose = bowls.value(x + moved, honest) - bowls.value(x, honest)
    mean = np.mean([np.linalg.norm(eta * s) ** 3 for s in steps])
    assert rose <= -theory.lambda_comp(run) * mean + theory.lambda_gamma(run)
    after = np.mean([bowls.gradient(i, x + moved) for i in honest], axis=0)
    curved = np.mean([bowls.hessian(i, x + moved) for i in honest], axis=0)
    assert theory.lambda_comp(run) > 0
    found = theory.theorem4(run, fall=-rose, rounds=1)
    assert np.linalg.norm(after) <= found.gradient
    assert -np.linalg.eigvalsh(curved)[0] <= found.curvature
