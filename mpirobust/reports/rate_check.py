"""The steps that P1's proofs admit, and the bounds of its theorems with the constants of a plan at its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from mpirobust.numerics.norms import q_norm
from mpirobust.reports import theory_p1 as theory
from mpirobust.reports.constants import Between, Contraction, Start, verdict
from mpirobust.reports.theorem_check import outside, theorem_of, trims
from mpirobust.reports.theory_p1 import Setting, Theorem
from mpirobust.types import Rows

_LEAST = 1e-300  # in place of a constant that is 0


@dataclass(frozen=True)
class _Case:
    """A plan within the setting of a theorem, and its constants; c and λ0 of the setting are not set."""

    at: tuple[float, float, float]  # δ, α, β
    gamma: float
    rounds: int
    L: Between
    setting: Setting
    measured: str
    fall: float
    start: Start


def rates(start: Start, dealt: Sequence[Rows], delta: Contraction) -> list[str]:
    """Return sentences on step, rates and bound of the theorem that covers the plan; nothing if none does."""
    theorem = theorem_of(start.plan)
    if theorem is None or not delta.measured > 0 or outside(start.plan, dealt):
        return []
    plan, trimmed = start.plan, trims(start.plan)
    assert trimmed is not None
    at = min(delta.measured, 1.0), plan.lost().size / len(dealt), trimmed / len(dealt)
    if not theorem.proved(*at) > 0:
        return ["step: none is small enough for its proof at this δ (docs/PAPER.md)"]
    with np.errstate(all="ignore"):
        case = _case(start, dealt, at)
    if case is None:
        return []
    return _third(case) if theorem.factor is None or theorem.off is None else _first(case, theorem)


def _case(start: Start, dealt: Sequence[Rows], at: tuple[float, float, float]) -> _Case | None:
    """Return the case at (δ, α, β); None if a constant is not finite."""
    plan = start.plan
    gamma = plan.algorithm.query(plan.algorithm.start(start.x, start)).scale
    L, sigma, tails = start.curvature(), start.sigma(), start.tails()
    ball, rounds = plan.algorithm.ball(start.x), plan.algorithm.rounds
    D = 2 * gamma * rounds * sigma.low if ball is None else 2 * ball[1]
    known = [L.low, sigma.low, tails.v, tails.L_hat, D]
    if not np.isfinite(known).all():
        return None
    setting = Setting(
        d=start.layout.dim,
        n=round(sum(rows.size for rows in dealt) / len(dealt)),
        m=len(dealt),
        v=max(tails.v, _LEAST),
        D=max(D, _LEAST),
        L_hat=max(tails.L_hat, _LEAST),
        L_F=max(L.low, _LEAST),
        sigma=sigma.low,
        lambda0=1.0,
        c=1.0,
    )
    from_rows = f"v = {tails.v:.3g}, L̂ = {tails.L_hat:.3g} ({tails.rows} rows), σ = {sigma.low:.3g}"
    measured = f"from what is found at the start: {from_rows}, D = {D:.3g}{' (2γTσ)' if ball is None else ''}"
    fall = start.fall()
    return _Case(at, gamma, rounds, L, setting, measured, inf if fall is None else fall, start)


def _first(case: _Case, theorem: Theorem) -> list[str]:
    """Return the sentences of Theorems 1 and 2."""
    assert theorem.factor is not None
    assert theorem.off is not None
    at, s = case.at, case.setting
    kappa = theorem.factor(*at)
    limit, low, high = theory.largest_step(kappa), case.gamma * case.L.low, case.gamma * case.L.high
    used = case.gamma if low <= 1 else 1 / case.L.low
    off, epsilon = theorem.off(s, *at), theory.epsilon if theorem is theory.THEOREM1 else theory.epsilon_tilde
    s = replace(s, lambda0=(1 - kappa) / kappa if kappa else inf)
    falling, floor = theory.sharp_bound(kappa, off, case.fall, used, case.rounds)
    deviation = case.start.eps_gradient()
    own = off / theory.epsilon1(s) * deviation  # ε2 is scaled down like ε1
    said = f"ε1 = {theory.epsilon1(s):.3g}, ε2 = {theory.epsilon2(s, at[1]):.3g}, ε = {epsilon(s, *at):.3g}"
    return [
        f"step: {verdict(low < limit, high < limit)}: γL {Between(low, high)}, its proof needs γL < {limit:.3g}",
        f"step: {verdict(low <= 1, high <= 1)}: a sharper proof needs γL <= 1 (docs/PAPER.md)",
        f"rates: {said} at λ0 = {s.lambda0:.3g}",
        case.measured,
        _bound(case, used, falling, floor),
        f"with max_i ||∇F_i - ∇F|| = {deviation:.3g}, as at the start, for ε1: about {(own / (1 - kappa)) ** 2:.3g}",
        *_size(case, theory.radius1(kappa, off, case.start.slope().low, used, case.rounds)),
    ]


def _third(case: _Case) -> list[str]:
    """Return the sentences of Theorem 3."""
    at, s, gamma = case.at, case.setting, case.gamma
    limit = theory.largest_step3(*at, case.L.low)
    everywhere = gamma < theory.largest_step3(*at, case.L.high)  # NaN, so never, if no bound on L is known
    said = [
        f"step: {verdict(gamma < limit, everywhere)}: γ = {gamma:.3g}, its proof needs γ < {limit:.3g} (L {case.L})"
    ]
    if at[0] < 3 / 4:
        said.append(
            f"Lemma 5 is false for δ < 3/4: ||e||²/(γσ)² may be {theory.residual(at[0]):.3g}, "
            f"not {theory.printed_residual(at[0]):.3g}; used below (docs/PAPER.md)"
        )
    used = gamma if gamma < limit else limit / 2
    c = theory.share3(*at, case.L.low, used)
    d1, d2, d3 = theory.big_deltas(replace(s, c=c), *at, theory.residual)
    terms = {"ε1": theory.epsilon1(s), "ε2": theory.epsilon2(s, at[1]), "Δ1": d1, "Δ2": d2, "Δ3": d3}
    return [
        *said,
        f"rates: {', '.join(f'{name} = {value:.3g}' for name, value in terms.items())} at γ = {used:.3g}",
        case.measured,
        _bound(case, used, case.fall / (c * used * (case.rounds + 1)), d1 + used * d2 + used**2 * d3),
        *_size(case, theory.radius3(s, *at, case.start.slope().low, used, case.rounds)),
    ]


def _bound(case: _Case, used: float, falling: float, floor: float) -> str:
    """Return a sentence on the theorem's bound at a step: a part that vanishes with the rounds, and one that stays.

    At best, because its constants are found from below.
    """
    now = q_norm(case.start.gradient, 2) ** 2
    elsewhere = "" if used == case.gamma else f" at γ = {used:.3g}"
    terms = f"{floor:.3g} and a term in F(w_0) - F*" if falling == inf else f"{falling:.3g} + {floor:.3g}"
    empty = ": it says nothing here" if (0.0 if falling == inf else falling) + floor >= now else ""
    return f"bound{elsewhere}: at best min ||∇F||² <= {terms} in {case.rounds} rounds; {now:.3g} at the start{empty}"


def _size(case: _Case, needed: float) -> list[str]:
    """Return a sentence on the radius that W needs around w_0; nothing if W is all of R^d."""
    ball = case.start.plan.algorithm.ball(case.start.x)
    if ball is None:
        return []
    room = ball[1] - q_norm(case.start.x - ball[0], 2)
    return [f"W: {verdict(room >= needed, False)}: {room:.3g} around w_0, and its assumption needs {needed:.3g}"]
