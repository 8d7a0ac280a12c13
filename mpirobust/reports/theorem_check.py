"""The check whether a theorem of P1 covers a plan, and by what margin."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from mpirobust.plan import Plan
from mpirobust.reports.constants import Contraction
from mpirobust.reports.theory_p1 import THEOREM1, THEOREM2, THEOREM3, Theorem, largest_alpha, smallest_delta
from mpirobust.types import Rows

_ROUNDING = 1e-12  # a margin below this is none


def regime(plan: Plan, dealt: Sequence[Rows], delta: Contraction) -> list[str]:
    """Return which theorem covers the plan, whether it is inside, by what margin, and what would bring it inside."""
    trimmed, theorem = trims(plan), theorem_of(plan)
    foreign = outside(plan, dealt)
    found = [f"outside P1's theorems: {'; '.join(foreign)}"] if foreign else []
    if theorem is None or trimmed is None:
        return found
    if not delta.measured > 0:
        return [*found, f"no theorem of P1 holds for this code: {delta.measured:.3g} is measured, and all want δ > 0"]
    verdict = _verdict(theorem, delta, plan.lost().size / len(dealt), trimmed / len(dealt))
    if foreign:
        verdict[0] = f"but for that, {verdict[0]}"
    granted = "gradients that stay bounded" if theorem is THEOREM3 else "gradients with light tails"
    n = sum(rows.size for rows in dealt) / len(dealt)
    return [
        *found,
        *verdict,
        f"taken for granted: i.i.d. rows, a smooth loss, {granted}, δ as at the start",
        f"even inside, ||∇F||² falls to a floor that grows with d²/n, here {delta.dim**2 / n:.3g}",
    ]


def _verdict(theorem: Theorem, delta: Contraction, alpha: float, beta: float) -> list[str]:
    """Return sentences on (δ, α, β) by a theorem, as it is stated and by its proof."""
    name, at = f"P1 Theorem {theorem.number}", f"at α = {alpha:.4g}, β = {beta:.4g}"
    needed, proved = (smallest_delta(each, alpha, beta) for each in (theorem.stated, theorem.proved))
    margin, by_proof = _margin(delta.measured, needed), _margin(delta.measured, proved)
    asks = "not even δ = 1 is enough" if needed is None else f"it asks for δ > {needed:.3g}"
    if margin > 0:
        said = [f"inside {name} by {margin:.3g}: {at} {asks}, and {delta.measured:.3g} is measured"]
        if delta.worst is not None and _margin(delta.worst, needed) > 0:
            said[0] += "; so it is for any vector"
        if not by_proof > 0:
            said.append(f"its proof needs a little more: {_asked(proved)} (docs/PAPER.md)")
        return said
    short = "" if needed is None else f" by {abs(margin):.3g}"
    said = [f"outside {name}{short}: {at} {asks}, and {delta.measured:.3g} is measured"]
    if by_proof > 0:
        said.append(f"its proof needs less, {_asked(proved)}, and that holds by {by_proof:.3g} (docs/PAPER.md)")
    slack = beta - alpha
    most = largest_alpha(theorem.stated, delta.measured, slack)
    trimming = f"β = α + {slack:.4g}" if slack else "β = α"
    if most is None:
        said.append(
            f"with {trimming} it asks for {_asked(smallest_delta(theorem.stated, 0.0, slack))} at α = 0 already"
        )
    else:
        said.append(f"with {trimming} this δ is enough for α < {most:.3g}")
    return said


def _margin(delta: float, needed: float | None) -> float:
    margin = -inf if needed is None else delta - needed
    return margin if abs(margin) > _ROUNDING else 0.0


def _asked(needed: float | None) -> str:
    return "more than δ = 1" if needed is None else f"δ > {needed:.3g}"


def trims(plan: Plan) -> int | None:
    """Return how many workers the rule of a plan drops by norm; None if the rule is not that of the papers."""
    trimmed = plan.aggregator.trims(len(plan.groups))
    return None if trimmed == 0 and plan.lost().size else trimmed  # a mean among Byzantine workers is not


def theorem_of(plan: Plan) -> Theorem | None:
    """Return the theorem of P1 that has a condition for the plan, covered by it or not; None if none has."""
    algorithm, trimmed = plan.feedback.p1_algorithm(), trims(plan)
    if plan.algorithm.outside_p1(0) is None or algorithm is None or trimmed is None or 2 * trimmed >= len(plan.groups):
        return None
    return THEOREM3 if algorithm == 2 else THEOREM1 if plan.algorithm.norm().claimed else THEOREM2


def outside(plan: Plan, dealt: Sequence[Rows]) -> list[str]:
    """Return the parts of the plan that no theorem covers, and what the theorems assume instead."""
    table, m, trimmed = plan.table(), len(plan.groups), trims(plan)
    outside = plan.algorithm.outside_p1(max(rows.size for rows in dealt))
    if outside is None:
        return [f"they are of first-order, not {table['algorithm']['kind']}"]
    adheres = plan.attack is None or plan.attack.adheres()
    found = [
        (trimmed is None, f"they are of norm-trim, not {table['aggregator']['kind']}"),
        (plan.feedback.p1_algorithm() is None, f'feedback = "{table["feedback"]}" is not theirs; "residual" is'),
        (plan.weigh != "equal", "they count every worker the same"),
        (plan.downlink is not None, "their workers answer at w_t itself, not at what [downlink] tells of it"),
        *((True, clause) for clause in outside),
        (not plan.data.deals_iid(), f"they deal rows iid, not {table['data']['partition']['kind']}"),
        (trimmed is not None and 2 * trimmed >= m, f"they trim fewer than half, not {trimmed} of {m}"),
        (
            plan.algorithm.norm().claimed and not adheres,
            'the adversary of Option I adheres to the compressor; option = "II" lets it send anything',
        ),
    ]
    return [reason for applies, reason in found if applies]
