"""The check whether a theorem of P1 covers a plan, and by what margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from mpirobust.data.sources.base import Dataset
from mpirobust.errors import Malformed
from mpirobust.numerics.norms import q_norm
from mpirobust.plan import Plan
from mpirobust.reports.theory_p1 import THEOREM1, THEOREM2, THEOREM3, Theorem, largest_alpha, smallest_delta
from mpirobust.streams import CENTER, Purpose, stream
from mpirobust.types import Layout, Rows, Vector

_WORKERS = 8  # whose gradients are encoded
_DRAWS = 8  # for each, of a code with randomness in it
_ROUNDING = 1e-12  # a margin below this is none


@dataclass(frozen=True)
class Contraction:
    """δ of the plan's code.

    Attributes:
        dim: d.
        workers: how many were measured.
        measured: at the starting point; -inf if a gradient or its code is not finite.
        worst: over all vectors; None if there is none above 0.
    """

    dim: int
    workers: int
    measured: float
    worst: float | None

    def __str__(self) -> str:
        worst = "none at worst: not a contraction" if self.worst is None else f"{self.worst:.3g} at worst"
        return f"{self.measured:.3g} measured at the start on {self.workers} workers, {worst}"


def contraction(plan: Plan, dataset: Dataset, dealt: Sequence[Rows]) -> Contraction:
    """Return `1 - max_i E||Q(g_i) - g_i||²/||g_i||²` over some workers, evenly spaced, at the starting point.

    The mean is over the messages of the first rounds. If the mean of so few draws is below the proved δ, the proved
    one is returned. A zero gradient is left out.
    """
    features = dataset.facts.features
    x, layout = plan.problem.start(features, stream(plan.seed, CENTER, 0, Purpose.START)), plan.problem.layout(features)
    chosen = np.unique(np.linspace(0, plan.workers - 1, _WORKERS).astype(int))
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow makes a message unsound, and δ -inf
        errors = [
            _relative_error(plan, layout, worker, plan.problem.gradient(x, dataset.train(dealt[worker])))
            for worker in chosen.tolist()
        ]
    worst = plan.compressor.delta(layout)
    return Contraction(x.size, chosen.size, max(1 - max(errors), -inf if worst is None else worst), worst)


def _relative_error(plan: Plan, layout: Layout, worker: int, g: Vector) -> float:
    """Return `E||Q(g) - g||²/||g||²`; a code without randomness is evaluated once."""
    largest = float(np.abs(g).max(initial=0.0))
    if largest == 0:
        return 0.0
    if not np.isfinite(largest):
        return inf
    errors = []
    for draw in range(_DRAWS):
        rng, untouched = (stream(plan.seed, worker, draw, Purpose.ENCODE) for _ in range(2))
        code = plan.compressor.draw(layout, stream(plan.seed, worker, draw, Purpose.SHARED))
        try:
            decoded = code.decode(code.encode(g, rng))
        except Malformed:
            return inf
        errors.append((q_norm((decoded - g) / largest, 2.0) / q_norm(g / largest, 2.0)) ** 2)
        if not plan.compressor.draws_for_each() and rng.random() == untouched.random():
            break
    return float(np.mean(errors))


def regime(plan: Plan, dealt: Sequence[Rows], delta: Contraction) -> list[str]:
    """Return which theorem covers the plan, whether it is inside, by what margin, and what would bring it inside."""
    bad = plan.byzantine().size
    trimmed = plan.aggregator.trims(plan.workers)
    if trimmed == 0 and bad:
        trimmed = None  # a mean among Byzantine workers is not P1's rule
    foreign = _foreign(plan, trimmed, max(rows.size for rows in dealt))
    found = [f"outside P1's theorems: {'; '.join(foreign)}"] if foreign else []
    algorithm = plan.feedback.p1_algorithm()
    if plan.algorithm.outside_p1(0) is None or algorithm is None:
        return found
    if trimmed is None or 2 * trimmed >= plan.workers:
        return found
    if not delta.measured > 0:
        return [*found, f"no theorem of P1 holds for this code: {delta.measured:.3g} is measured, and all want δ > 0"]
    theorem = THEOREM3 if algorithm == 2 else THEOREM1 if plan.algorithm.norm().claimed else THEOREM2
    verdict = _verdict(theorem, delta, bad / plan.workers, trimmed / plan.workers)
    if foreign:
        verdict[0] = f"but for that, {verdict[0]}"
    granted = "gradients that stay bounded" if theorem is THEOREM3 else "gradients with light tails"
    n = sum(rows.size for rows in dealt) / plan.workers
    return [
        *found,
        *verdict,
        f"taken for granted: i.i.d. rows, a smooth loss, {granted}, a small step, δ as at the start",
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
    trims = f"β = α + {slack:.4g}" if slack else "β = α"
    if most is None:
        said.append(f"with {trims} it asks for {_asked(smallest_delta(theorem.stated, 0.0, slack))} at α = 0 already")
    else:
        said.append(f"with {trims} this δ is enough for α < {most:.3g}")
    return said


def _margin(delta: float, needed: float | None) -> float:
    margin = -inf if needed is None else delta - needed
    return margin if abs(margin) > _ROUNDING else 0.0


def _asked(needed: float | None) -> str:
    return "more than δ = 1" if needed is None else f"δ > {needed:.3g}"


def _foreign(plan: Plan, trimmed: int | None, rows: int) -> list[str]:
    """Return the parts of the plan that no theorem covers, and what the theorems assume instead."""
    table, m = plan.table(), plan.workers
    outside = plan.algorithm.outside_p1(rows)
    if outside is None:
        return [f"they are of first-order, not {table['algorithm']['kind']}"]
    adheres = plan.attack is None or plan.attack.adheres()
    found = [
        (trimmed is None, f"they are of norm-trim, not {table['aggregator']['kind']}"),
        (plan.feedback.p1_algorithm() is None, f'feedback = "{table["feedback"]}" is not theirs; "residual" is'),
        (plan.weigh != "equal", "they count every worker the same"),
        *((True, clause) for clause in outside),
        (not plan.data.deals_iid(), f"they deal rows iid, not {table['data']['partition']['kind']}"),
        (trimmed is not None and 2 * trimmed >= m, f"they trim fewer than half, not {trimmed} of {m}"),
        (
            plan.algorithm.norm().claimed and not adheres,
            'the adversary of Option I adheres to the compressor; option = "II" lets it send anything',
        ),
    ]
    return [reason for applies, reason in found if applies]
