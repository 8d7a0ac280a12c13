"""The error rates of P1; the compression, fractions of Byzantine workers and steps that its theorems admit.

The equations, and the conditions of the theorems, are as printed in the main text. Beside them stands what the
proofs need instead (`proof1` to `proof3`, `largest_step`, `share3`), what is true in place of Lemma 5 (`residual`),
and a bound that is ours (`sharp_bound`); docs/PAPER.md compares them. δ is of the compressor (P1 Def. 4), α the
fraction of Byzantine workers, β the fraction trimmed. The theorems want `0 < δ <= 1` and `0 <= α <= β < 1/2`, which
is the caller's to see to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import inf, log, sqrt
from typing import TypeAlias

Margin: TypeAlias = Callable[[float, float, float], float]  # of δ, α, β; positive if the condition holds

_HALVINGS = 60  # leave an interval of length 1 at less than the spacing of float64 there


@dataclass(frozen=True)
class Setting:
    """The constants of a problem; all are positive, but σ may be zero.

    Attributes:
        d: dimension.
        n: rows of one worker.
        m: workers.
        v: sub-exponential parameter of the partial derivatives (Ass. 2).
        D: diameter of W.
        L_hat: `L̂ = (Σ_k L_k²)^½`, L_k the Lipschitz constant of the k-th partial derivative (Ass. 1).
        L_F: smoothness of F.
        sigma: bound on `||∇F_i||` along the iterates (Ass. 5).
        lambda0: λ0, the share of Young's inequality; ε grows like 1/λ0, and the conditions tighten with it.
        c: the universal constant of Theorem 3, which the paper leaves open.
    """

    d: int
    n: int
    m: int
    v: float
    D: float
    L_hat: float
    L_F: float
    sigma: float
    lambda0: float
    c: float

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (value > 0 or (value == 0 and each.name == "sigma")):
                raise ValueError(f"{each.name} = {value} is not positive")


def epsilon1(s: Setting) -> float:
    """Return ε1, how far one worker's gradient is from that of F (P1 eq. 2)."""
    return _deviation(s, s.n) + 1 / s.n


def epsilon2(s: Setting, alpha: float) -> float:
    """Return ε2, how far the mean gradient of the honest workers is from that of F (P1 eq. 3)."""
    return _deviation(s, (1 - alpha) * s.m * s.n)


def _deviation(s: Setting, rows: float) -> float:
    rate = s.d / rows * log(1 + 2 * rows * s.D * s.L_hat * s.d)
    return s.v * sqrt(s.d) * max(rate, sqrt(rate))


def epsilon(s: Setting, delta: float, alpha: float, beta: float) -> float:
    """Return ε, which bounds `||∇F||²` under Option I but for a constant (P1 eq. 4, Thm 1)."""
    return _floor(s, alpha, beta, sqrt(1 - delta))


def epsilon_tilde(s: Setting, delta: float, alpha: float, beta: float) -> float:
    """Return ε̃, the same under Option II (P1 §6.1, Thm 2)."""
    return _floor(s, alpha, beta, (1 + beta) * sqrt(1 - delta))


def _floor(s: Setting, alpha: float, beta: float, compression: float) -> float:
    own = (compression + alpha + beta) / (1 - beta) * epsilon1(s)
    mean = (1 - alpha) / (1 - beta) * epsilon2(s, alpha)
    return 2 * (1 + 1 / s.lambda0) * (mean**2 + own**2)


def residual(delta: float) -> float:
    """Return the least upper bound on `||e_i||²/(γσ)²` of a residual, `(1-δ)(1+√(1-δ))²/δ²`, for every δ.

    `||e(t+1)|| <= √(1-δ) (γσ + ||e(t)||)`, a geometric series; `Q(x) = (1 - √(1-δ)) x` comes as near as one likes.
    """
    return (1 - delta) * ((1 + sqrt(1 - delta)) / delta) ** 2


def printed_residual(delta: float) -> float:
    """Return the same as P1 Lemma 5 has it, `3(1-δ)/δ`: too small for δ < 3/4."""
    return 3 * (1 - delta) / delta


def big_deltas(
    s: Setting, delta: float, alpha: float, beta: float, lemma5: Callable[[float], float] = printed_residual
) -> tuple[float, float, float]:
    """Return Δ1, Δ2, Δ3 (P1 eqs. 7-9), with L = L_F as in the proof; correct for every δ if `lemma5` is `residual`.

    `||∇F||² <= (F(w_0) - F*)/(cγ(T+1)) + Δ1 + γΔ2 + γ²Δ3` under error feedback with step γ (P1 Thm 3).
    """
    left_out = lemma5(delta) * s.sigma**2  # bounds ||e_i||²/γ²
    L, e2 = s.L_F, epsilon2(s, alpha) ** 2
    pulled = 9 * _pull(delta, alpha, beta) * (epsilon1(s) ** 2 + left_out)
    first = pulled / 2 + 50 * e2
    second = L**2 / 2 * left_out + 2 * L * e2 + (0.5 + L) * pulled
    third = (L**2 / 100 + 25 * L**2) * left_out
    return first / s.c, second / s.c, third / s.c


def _pull(delta: float, alpha: float, beta: float) -> float:
    """Return the contribution of trimming and Byzantine workers to a step of Algorithm 2, squared (P1 Lemma 6)."""
    return ((1 + sqrt(1 - delta)) / (1 - beta)) ** 2 * (alpha**2 + beta**2 + (beta - alpha) ** 2)


# The steps. Without compression and Byzantine workers all of this is gradient descent.


def factor1(delta: float, alpha: float, beta: float) -> float:
    """Return κ = (√(1-δ) + 2α)/(1-β): the step is off by at most `κ ||∇F|| + deviation1` (P1 Lemma 1)."""
    return (sqrt(1 - delta) + 2 * alpha) / (1 - beta)


def factor2(delta: float, alpha: float, beta: float) -> float:
    """Return κ = ((1+β)√(1-δ) + 2α)/(1-β), the same under Option II (P1 Lemma 2)."""
    return ((1 + beta) * sqrt(1 - delta) + 2 * alpha) / (1 - beta)


def deviation1(s: Setting, delta: float, alpha: float, beta: float) -> float:
    """Return `(√(1-δ) + α + β)/(1-β) ε1 + (1-α)/(1-β) ε2` (P1 Lemma 1)."""
    return _off(s, alpha, beta, sqrt(1 - delta))


def deviation2(s: Setting, delta: float, alpha: float, beta: float) -> float:
    """Return `((1+β)√(1-δ) + α + β)/(1-β) ε1 + (1-α)/(1-β) ε2` (P1 Lemma 2)."""
    return _off(s, alpha, beta, (1 + beta) * sqrt(1 - delta))


def _off(s: Setting, alpha: float, beta: float, compression: float) -> float:
    return ((compression + alpha + beta) * epsilon1(s) + (1 - alpha) * epsilon2(s, alpha)) / (1 - beta)


def largest_step(kappa: float) -> float:
    """Return the γ L_F below which P1 §10.1 descends, `(1-κ²)/(2(1+κ²))`: Theorems 1 and 2 leave it at "small".

    The proof needs `1/2 - c - (1/2 + c) κ² > 0`, c = γ L_F, λ0 -> 0. None, that is at most 0, if κ >= 1.
    """
    return (1 - kappa**2) / (2 * (1 + kappa**2))


def sharp_bound(kappa: float, off: float, fall: float, gamma: float, rounds: int) -> tuple[float, float]:
    """Return two terms whose sum bounds `min_t ||∇F||²` over t = 0, ..., T = `rounds`, if κ < 1 and γ L_F <= 1.

    With Δ the error of the step, `-⟨∇F, ∇F + Δ⟩ = (||Δ||² - ||∇F||² - ||∇F + Δ||²)/2` in place of P1's Young
    inequality: F falls by γ/2 (||∇F||² - ||Δ||²), and so does P1's theorem hold for steps up to 1/L_F (docs/PAPER.md).

    Args:
        off: `deviation1` or `deviation2`.
        fall: F(w_0) - F*.

    Returns:
        `2 fall/((1-κ) γ (T+1))`, which vanishes with T, and the floor `(off/(1-κ))²`.
    """
    if kappa >= 1:
        return inf, inf
    return 2 * fall / ((1 - kappa) * gamma * (rounds + 1)), (off / (1 - kappa)) ** 2


def share3(delta: float, alpha: float, beta: float, L: float, gamma: float) -> float:
    """Return c of Theorem 3 for a step, `12/25 - 9/2 X - γ (2L + 9 (1/2 + L) X)`, X its left side (P1 §11).

    It is no universal constant, and has to be positive.
    """
    pull = _pull(delta, alpha, beta)
    return 1 / 2 - 1 / 50 - 9 / 2 * pull - gamma * (2 * L + 9 * (1 / 2 + L) * pull)


def largest_step3(delta: float, alpha: float, beta: float, L: float) -> float:
    """Return the γ at which `share3` is 0; Theorem 3 wants less. At most 0: it admits no step; inf: it admits all."""
    whole = share3(delta, alpha, beta, L, 0.0)
    slope = whole - share3(delta, alpha, beta, L, 1.0)  # 0 for L = 0 without trimming and attackers
    return whole / slope if slope else inf


# The size of W: how far the iterates may go from w_0, given that ||∇F|| <= M there.


def radius1(kappa: float, off: float, M: float, gamma: float, rounds: int) -> float:
    """Return `γT ((1+κ) M + off)`, the ball of P1 Ass. 3 and 4 with its constants: no step is longer than a T-th."""
    return gamma * rounds * ((1 + kappa) * M + off)


def radius3(s: Setting, delta: float, alpha: float, beta: float, M: float, gamma: float, rounds: int) -> float:
    """Return `γ r* T` (P1 Ass. 6), with `residual` for Lemma 5."""
    kept = sqrt(residual(delta)) * s.sigma
    pulled = 6 * beta * (1 + sqrt(1 - delta)) / (1 - beta) * (epsilon1(s) + M + kept)
    return gamma * rounds * (epsilon2(s, alpha) + M + pulled + 2 * kept)


# The conditions. λ0 is 'a sufficiently small positive constant', so its limit 0 is the weakest condition there is.


def theorem1(delta: float, alpha: float, beta: float, lambda0: float = 0.0) -> float:
    """Return `δ - (δ0 + 4α - 9α² + 4α³)`, δ0 = 1 - (1-β)²/(1+λ0) (P1 Thm 1, Option I)."""
    delta0 = 1 - (1 - beta) ** 2 / (1 + lambda0)
    return delta - (delta0 + 4 * alpha - 9 * alpha**2 + 4 * alpha**3)


def theorem2(delta: float, alpha: float, beta: float, lambda0: float = 0.0) -> float:
    """Return `δ - (δ̃0 + 4α - 8α² + 4α³)`, δ̃0 = 1 - (1-β)²/((1+β)²(1+λ0)) (P1 Thm 2, Option II)."""
    delta0 = 1 - ((1 - beta) / (1 + beta)) ** 2 / (1 + lambda0)
    return delta - (delta0 + 4 * alpha - 8 * alpha**2 + 4 * alpha**3)


def theorem3(delta: float, alpha: float, beta: float) -> float:
    """Return `0.107 - (1+√(1-δ))²/(1-β)² [α² + β² + (β-α)²]` (P1 Thm 3, error feedback)."""
    return 0.107 - _pull(delta, alpha, beta)


def proof1(delta: float, alpha: float, beta: float, lambda0: float = 0.0) -> float:
    """Return `(1-β)/√(1+λ0) - 2α - √(1-δ)`: the factor of `||∇F||` in P1 Lemma 1 is below 1."""
    return (1 - beta) / sqrt(1 + lambda0) - 2 * alpha - sqrt(1 - delta)


def proof2(delta: float, alpha: float, beta: float, lambda0: float = 0.0) -> float:
    """Return `(1-β)/√(1+λ0) - 2α - (1+β)√(1-δ)`: the same for P1 Lemma 2."""
    return (1 - beta) / sqrt(1 + lambda0) - 2 * alpha - (1 + beta) * sqrt(1 - delta)


def proof3(delta: float, alpha: float, beta: float) -> float:
    """As `theorem3` with what 0.107 is rounded from: (1/2 - 1/50) 2/9 (P1 §11)."""
    return (1 / 2 - 1 / 50) * 2 / 9 - _pull(delta, alpha, beta)


@dataclass(frozen=True)
class Theorem:
    """One of P1's: its condition as stated, what its proof uses, and κ and the deviation of a step if it has them."""

    number: int
    stated: Margin
    proved: Margin
    factor: Margin | None = None
    off: Callable[[Setting, float, float, float], float] | None = None


THEOREM1 = Theorem(1, theorem1, proof1, factor1, deviation1)  # Option I
THEOREM2 = Theorem(2, theorem2, proof2, factor2, deviation2)  # Option II
THEOREM3 = Theorem(3, theorem3, proof3)  # error feedback


def smallest_delta(margin: Margin, alpha: float, beta: float) -> float | None:
    """Return the δ above which the condition holds; 0 if it holds for all, None if not even for δ = 1."""
    if margin(1.0, alpha, beta) <= 0:
        return None
    if margin(0.0, alpha, beta) >= 0:
        return 0.0
    return _border(lambda delta: margin(delta, alpha, beta) > 0, inside=1.0, outside=0.0)


def largest_alpha(margin: Margin, delta: float, slack: float = 0.0) -> float | None:
    """Return the α below which the condition holds at this δ with β = α + `slack` < 1/2; None if not even for α = 0."""
    if margin(delta, 0.0, slack) <= 0:
        return None
    return _border(lambda alpha: margin(delta, alpha, alpha + slack) > 0, inside=0.0, outside=0.5 - slack)


def _border(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the point between the two at which `holds` ends, by bisection."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return inside
