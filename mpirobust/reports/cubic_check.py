"""The check whether P2's Theorem 4 covers a plan: its conditions, with the constants measured at the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from mpirobust.algorithms.base import Cubic as Method
from mpirobust.numerics.norms import q_norm
from mpirobust.plan import Plan
from mpirobust.reports import theory_p2 as theory
from mpirobust.reports.constants import Between, Contraction, Start, verdict
from mpirobust.reports.theorem_check import trims
from mpirobust.reports.theory_p2 import Cubic
from mpirobust.types import Rows


@dataclass(frozen=True)
class _Case:
    """A run with the constants as they are at the start (`low`), and with their bounds (`high`)."""

    low: Cubic
    high: Cubic

    def needs(self, condition: Callable[[Cubic], float]) -> Between:
        """Return what a condition needs, which grows with the constants."""
        return Between(condition(self.low), condition(self.high))


def cubic_regime(start: Start, dealt: Sequence[Rows], delta: Contraction) -> list[str]:
    """Return sentences on the conditions of P2's Theorem 4; nothing if the plan's method is not P2's."""
    plan = start.plan
    method = plan.algorithm.cubic(max(rows.size for rows in dealt))
    if method is None:
        return []
    trimmed = trims(plan)
    foreign = _foreign(plan, method, trimmed)
    said = [f"outside P2's Theorem 4: {'; '.join(foreign)}"] if foreign else []
    if trimmed is None or 2 * trimmed >= len(dealt):
        return said
    contracts = verdict(delta.measured > 0, delta.worst is not None)
    without = "" if delta.measured > 0 else "; below as if δ = 1 (Corollary 8)"
    said.append(f"P2 Def. 1: {contracts}: δ = {delta.measured:.3g} of the steps, needs more than 0{without}")
    used = min(delta.measured, 1.0) if delta.measured > 0 else 1.0
    with np.errstate(all="ignore"):
        case, constants = _measured(start, method, trimmed, used)
    if case is None:
        return [*said, "the gradient or the Hessian at the start is not finite"]
    return [*said, *constants, *_conditions(case), *_bounds(case, start)]


def _measured(start: Start, method: Method, trimmed: int, delta: float) -> tuple[_Case | None, list[str]]:
    """Return the case, and sentences on its constants; no case if one is not finite."""
    L, L1, L2 = start.slope(), start.curvature(), start.twist()
    m, honest = len(start.plan.groups), set(start.honest)
    low = Cubic(
        m=m,
        alpha=start.plan.lost().size / m,
        beta=trimmed / m,
        delta=delta,
        M=method.M,
        gamma=method.gamma,
        eta=method.eta,
        L=L.low,
        L1=L1.low,
        L2=L2.low,
        eps_gradient=start.eps_gradient(),
        eps_hessian=start.eps_hessian(),
        longest=max(q_norm(s, 2) for at, s in zip(start.probed, start.steps, strict=True) if at in honest),
    )
    if not np.isfinite([L.low, L1.low, L2.low, low.eps_gradient, low.eps_hessian, low.longest]).all():
        return None, []
    found = f"ε_g = {low.eps_gradient:.3g}, ε_H = {low.eps_hessian:.3g}, Γ = {low.longest:.3g}"
    counts = len(honest), len(start.compared), len(honest.intersection(start.probed))
    workers = f"{counts[0]}, {counts[1]} and {counts[2]} of {m} workers"
    return _Case(low, replace(low, L=L.high, L1=L1.high, L2=L2.high)), [
        f"from below, at the start: {found} ({workers})",
        f"from what is found near the start to a bound for all points: L {L}, L_1 {L1}, L_2 {L2}",
    ]


def _conditions(case: _Case) -> list[str]:
    """Return a sentence on each condition on M and γ."""
    s, ratio = case.low, case.low.gamma / case.low.eta
    trimming = theory.condition_gamma(s) / s.eta
    return [
        _above("(31)", "M", s.M, case.needs(theory.condition31)),
        _above("λ_comp > 0", "M", s.M, case.needs(theory.condition_comp)),
        f"P2 γ >= η/((1-β)m): {verdict(ratio >= trimming, True)}: γ/η = {ratio:.3g}, needs {trimming:.3g}",
        f"{_bent(case, ratio)}; Theorem 4 has η = γ (docs/PAPER.md)",
    ]


def _bent(case: _Case, ratio: float) -> str:
    """Return a sentence on the condition of the gradient bound. It falls as L_1 grows: the start has the strictest."""
    strict = theory.printed_condition_gamma(case.low) / case.low.eta
    weak = strict if np.isinf(case.high.L1) else theory.printed_condition_gamma(case.high) / case.low.eta
    if ratio <= weak or weak == inf:
        return _above("gradient bound", "γ/η", ratio, Between(weak, strict))
    holds = "holds at the start" if ratio > strict else "may hold"  # ε_H is found from below
    return f"P2 gradient bound: {holds}: γ/η = {ratio:.4g}, needs {_span(Between(weak, strict))}"


def _above(condition: str, name: str, value: float, needs: Between) -> str:
    if needs.low == inf:
        return f"P2 {condition}: does not hold: no {name} is enough, as ε_H >= L_1"
    holds = verdict(value > needs.low, value > needs.high)
    said = f"P2 {condition}: {holds}: {name} = {value:.4g}, needs {_span(needs)}"
    return said if value > needs.low else f"{said}, so {needs.low / value:.3g} times as much or more"


def _span(needs: Between) -> str:
    more = "" if needs.high == needs.low else " or more" if needs.high == inf else f" to {needs.high:,.4g}"
    return f"{needs.low:,.4g}{more}"


def _bounds(case: _Case, start: Start) -> list[str]:
    """Return sentences on λ_Γ and on what the proof gives, at best: with the constants from below."""
    s, rounds, fall = case.low, start.plan.algorithm.rounds, start.fall()
    comp, rise = theory.lambda_comp(s), theory.lambda_gamma(s)
    said = [f"η Γ = {s.eta * s.longest:.3g} whatever T, so λ_Γ = {rise:.3g} a round, not O(1/T) (docs/PAPER.md)"]
    if comp <= 0:
        return [*said, f"bound: none, as λ_comp = {comp:.3g}"]
    best = theory.theorem4(s, 0.0 if fall is None else fall, rounds)
    now = q_norm(start.gradient, 2)
    empty = ": it says nothing here" if best.gradient >= now else ""
    terms = f"||∇f|| <= {best.gradient:.3g} and λ_min >= -{best.curvature:.3g} in {rounds} rounds"
    return [*said, f"bound: at best {terms}; ||∇f|| = {now:.3g} at the start{empty}"]


def _foreign(plan: Plan, method: Method, trimmed: int | None) -> list[str]:
    """Return the parts of the plan that the theorem does not cover, and what it assumes instead."""
    table, m = plan.table(), len(plan.groups)
    found = [
        (trimmed is None, f"it is of norm-trim, not {table['aggregator']['kind']}"),
        (plan.feedback.p1_algorithm() != 1, "workers send the steps themselves"),
        (plan.weigh != "equal", "it counts every worker the same"),
        (plan.downlink is not None, "its workers answer at x_k itself, not at what [downlink] tells of it"),
        *((True, clause) for clause in method.outside),
        (trimmed is not None and 2 * trimmed >= m, f"it trims fewer than half, not {trimmed} of {m}"),
    ]
    return [reason for applies, reason in found if applies]
