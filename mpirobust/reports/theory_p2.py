"""P2's Theorem 4 and Corollaries 8 and 9, with the constants of its proof (P2 §5.2).

A function whose name begins with `printed` has a formula as it is printed; the others have it as the steps of the
proof give it. docs/PAPER.md lists what was lost in print, and says why neither gives the theorem's rates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, sqrt


@dataclass(frozen=True)
class Cubic:
    """A run of P2 Alg. 1.

    Attributes:
        m: workers.
        alpha, beta: fractions that are Byzantine and trimmed, `0 <= α <= β < 1/2`.
        delta: of the compressor on the steps (P2 Def. 1), in (0, 1].
        M, gamma, eta: as in the algorithm.
        L, L1, L2: Lipschitz constants of f, ∇f and ∇²f (P2 Ass. 2).
        eps_gradient, eps_hessian: dissimilarity of gradients and Hessians (P2 Ass. 3, 4).
        longest: Γ, the largest `||s_i||` of an honest worker in any round.
    """

    m: int
    alpha: float
    beta: float
    delta: float
    M: float
    gamma: float
    eta: float
    L: float
    L1: float
    L2: float
    eps_gradient: float
    eps_hessian: float
    longest: float

    @property
    def stretch(self) -> float:
        """`1 + √(1-δ)`: `||Q(s)||` is at most so many times `||s||` (P2 (23))."""
        return 1 + sqrt(1 - self.delta)


@dataclass(frozen=True)
class Bound:
    """`||∇f|| <= gradient` and `λ_min(∇²f) >= -curvature` at one of the points (P2 (2))."""

    gradient: float
    curvature: float


# What M and γ have to be.


def condition31(s: Cubic) -> float:
    """Return `4 η²/γ² m L2 (1+√(1-δ))³`, above which P2 (31) wants M."""
    return 4 * (s.eta / s.gamma) ** 2 * s.m * s.L2 * s.stretch**3


def condition_comp(s: Cubic) -> float:
    """Return `2/3 (1-β) η/γ m L2 (1+√(1-δ))³`, above which λ_comp is positive.

    It is the smaller of the two if γ < 6 η/(1-β); for larger γ, (31) does not imply λ_comp > 0.
    """
    return 2 / 3 * (1 - s.beta) * s.eta / s.gamma * s.m * s.L2 * s.stretch**3


def condition_gamma(s: Cubic) -> float:
    """Return `η/((1-β)m)`, which γ has to reach so that the Hessian terms of P2's Terms 1 and 2 may be dropped."""
    return s.eta / ((1 - s.beta) * s.m)


def printed_condition_gamma(s: Cubic) -> float:
    """Return `2 (1-α)/(1-β) L1 (1+√(1-δ)) η/(L1 - ε_H)`, above which the gradient bound wants γ; inf if ε_H >= L1.

    It is more than 2η, against η = γ in the theorem. It comes of a lost absolute value: see `slope`.
    """
    if s.eps_hessian >= s.L1:
        return inf
    return 2 * (1 - s.alpha) / (1 - s.beta) * s.L1 * s.stretch * s.eta / (s.L1 - s.eps_hessian)


# One round: f falls by λ_comp times the mean of ||η s_i||³ over honest workers, and may rise by λ_Γ.


def lambda_comp(s: Cubic) -> float:
    """Return λ_comp, `[γM/(4(1-β)²ηm²) - L2 (1+√(1-δ))³/(6(1-β)m)] (1-α)m`."""
    return _lambda_comp(s, (1 - s.beta) ** 2)


def printed_lambda_comp(s: Cubic) -> float:
    """Return λ_comp as printed, which has lost one 1-β below M; it is the smaller one, so a bound all the same."""
    return _lambda_comp(s, 1 - s.beta)


def _lambda_comp(s: Cubic, below: float) -> float:
    falls = s.gamma * s.M / (4 * below * s.eta * s.m**2)
    return (falls - s.L2 * s.stretch**3 / (6 * (1 - s.beta) * s.m)) * (1 - s.alpha) * s.m


def lambda_gamma(s: Cubic) -> float:
    """Return λ_Γ, from P2's Terms 1, 3, 2 (the part of honest workers) and 2 (the part of Byzantine workers)."""
    b, kept, step = s.stretch, 1 - s.beta, s.eta * s.longest
    first = ((1 - s.alpha) * (s.L * sqrt(1 - s.delta) + s.eps_gradient) + s.L * b) / kept * step
    honest = (s.eps_hessian + s.L1 * (1 + (1 + kept * s.m) * b**2)) * (1 - s.alpha) / (2 * kept**2 * s.m) * step**2
    return first + honest + _byzantine(s)


def printed_lambda_gamma(s: Cubic) -> float:
    """Return λ_Γ as printed: a 1-α too many in Term 1, and `(1+√(1-δ))²` lost from the `(1-β)m` of Term 2.

    Both make it too small, by nothing for α = 0 and δ = 1.
    """
    b, kept, step = s.stretch, 1 - s.beta, s.eta * s.longest
    first = (1 - s.alpha) / kept * ((1 - s.alpha) * (s.L * sqrt(1 - s.delta) + s.eps_gradient) + s.L * b) * step
    honest = (s.eps_hessian + s.L1 * (1 + kept * s.m + b**2)) * (1 - s.alpha) / (2 * kept**2 * s.m) * step**2
    return first + honest + _byzantine(s)


def _byzantine(s: Cubic) -> float:
    b, kept, step = s.stretch, 1 - s.beta, s.eta * s.longest
    return s.L2 * b**3 * s.alpha / (6 * kept) * step**3 + s.L1 * b**2 * s.alpha / (2 * kept) * step**2


# T rounds.


def psi_comp(s: Cubic, fall: float, rounds: int) -> float:
    """Return ψ_comp (P2 (37)): in one of T rounds the mean of `||η s_i||³` is at most ψ_comp/T.

    This round k_0 is the one of the smallest mean; P2's, of the smallest `||x_{k+1} - x_k||`, may be another.

    Args:
        fall: f(x_0) - f*.

    Returns:
        inf if λ_comp is not positive.
    """
    falls = lambda_comp(s)
    return (fall + rounds * lambda_gamma(s)) / falls if falls > 0 else inf


def chi1(s: Cubic, psi: float) -> float:
    """Return χ1, `[L2 (1-α)(1+√(1-δ))²/(2(1-β)) + Mγ²/(2η²)] ψ_comp^(2/3)`, as printed."""
    kept = (1 - s.alpha) / (1 - s.beta)
    return float((s.L2 * kept * s.stretch**2 / 2 + s.M * (s.gamma / s.eta) ** 2 / 2) * psi ** (2 / 3))


def chi2(s: Cubic, psi: float) -> float:
    """Return χ2, `[Mγ/(2η) + L2 (1+√(1-δ))(1-α)/(1-β)] ψ_comp^(1/3)`, as printed."""
    kept = (1 - s.alpha) / (1 - s.beta)
    return float((s.M * s.gamma / s.eta / 2 + s.L2 * s.stretch * kept) * psi ** (1 / 3))


def slope(s: Cubic) -> float:
    """Return the factor of the mean of `||η s_i||` in the bound on ||∇f|| (after P2 (32)); positive for every γ.

    P2 prints `2 (1-α)/(1-β) L1 (1+√(1-δ)) - γ/η (L1 - ε_H)` and chooses γ so that it is negative: the norm of
    `(η/|U| - γ/|M|) Σ ∇²f Q(s_i)` has lost the absolute value of its factor.
    """
    kept, ratio = (1 - s.alpha) / (1 - s.beta), s.gamma / s.eta
    differ = (abs(kept - ratio) + kept) * s.L1 * s.stretch
    return differ + ratio * (s.L1 * sqrt(1 - s.delta) + s.eps_hessian)


def theorem4(s: Cubic, fall: float, rounds: int) -> Bound:
    """Return what the proof of P2 Theorem 4 gives after so many rounds; inf if λ_comp is not positive.

    To the printed terms `χ1/T^(2/3) + ε_g` and `χ2/T^(1/3) + ε_H` it adds `slope`, and those that P2 calls
    O(1/T), which are not: in `η α (1+√(1-δ))/(1-β) Γ` of the gradient P2 has lost an L1.
    """
    psi = psi_comp(s, fall, rounds)
    if psi == inf:
        return Bound(inf, inf)
    pulled = s.alpha / (1 - s.beta) * s.stretch * s.eta * s.longest  # what Byzantine workers add to a step
    steady = s.eps_gradient + s.L1 * pulled + s.L2 / 2 * pulled * s.stretch * s.eta * s.longest
    return Bound(
        chi1(s, psi) / rounds ** (2 / 3) + slope(s) * (psi / rounds) ** (1 / 3) + steady,
        chi2(s, psi) / rounds ** (1 / 3) + s.eps_hessian + s.L2 * pulled,
    )


def corollary8(s: Cubic, fall: float, rounds: int) -> Bound:
    """Return the same without compression (P2 Cor. 8): δ = 1."""
    return theorem4(replace(s, delta=1.0), fall, rounds)


def corollary9(s: Cubic, fall: float, rounds: int) -> Bound:
    """Return the same without compression, Byzantine workers and trimming (P2 Cor. 9): δ = 1, α = β = 0."""
    return theorem4(replace(s, delta=1.0, alpha=0.0, beta=0.0), fall, rounds)


def scheduled(s: Cubic, gamma: float) -> Cubic:
    """Return the run with another γ and the same η/γ, as in η = γ = c/T: Γ grows as γ shrinks.

    (1) has the minimiser s = u/γ, where u is free of γ. So η Γ = η/γ max ||u|| is the same number for every T.
    """
    return replace(s, gamma=gamma, eta=s.eta / s.gamma * gamma, longest=s.longest * s.gamma / gamma)
