"""Guarantees: those of the rule of a plan, and of any rule among shards that differ as those of the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust.aggregators.base import share
from mpirobust.plan import Plan
from mpirobust.reports.constants import Start
from mpirobust.types import Norm

_ROUNDS = 8  # after the start, at which heterogeneity is measured


@dataclass(frozen=True)
class Dissimilarity:
    """G² and B² with `mean_i ||∇F_i - ∇F||² <= G² + B² ||∇F||²` at some points (Allouah et al. 2023b).

    i runs over honest workers, and ∇F is the mean of theirs.
    """

    G2: float
    B2: float

    @property
    def breakdown(self) -> float:
        """The Byzantine fraction from which on no rule has a guarantee (Allouah et al. 2023b)."""
        return 1 / (2 + self.B2)

    def floor(self, kappa: float) -> float | None:
        """Return `κG²/(1 - κB²)`, to which gradient descent brings `||∇F||²` whoever attacks; None unless κB² < 1."""
        return kappa * self.G2 / (1 - kappa * self.B2) if kappa * self.B2 < 1 else None


def guarantees(start: Start) -> list[str]:
    """Return sentences on κ of the rule, on a β above α, and on the Byzantine fraction that no rule withstands."""
    plan = start.plan
    f, m = plan.lost().size, len(plan.groups)
    kappa, name = kappa_of(plan), plan.table()["aggregator"]["kind"]
    if not f:
        return [_robust(plan, kappa)] if kappa else []
    known = _robust(plan, kappa) if kappa else f"no (f, κ) is known for {name}{_unlike(plan)} (docs/RULES.md)"
    return [known, *(_heterogeneous(start, kappa, f / m) if plan.weigh == "equal" else [])]


def kappa_of(plan: Plan) -> float | None:
    """Return κ of the rule of a plan against the attackers of the plan; None if none is known.

    It is in 2-norms that are measured, and all workers count the same.
    """
    if plan.weigh != "equal" or plan.algorithm.norm() != Norm(2.0, claimed=False):
        return None
    return plan.aggregator.kappa(len(plan.groups), plan.lost().size)


def _unlike(plan: Plan) -> str:
    """Return in what the plan differs from what (f, κ) is about; '' if in nothing."""
    weighed = [' with weigh = "rows"'] if plan.weigh != "equal" else []
    return " and".join(
        [*weighed, *([" with these norms"] if plan.algorithm.norm() != Norm(2.0, claimed=False) else [])]
    )


def least_kappa(workers: int, byzantine: int, tolerated: int) -> float:
    """Return the smallest κ against `byzantine` of the workers that a rule can have which bears `tolerated` of them."""
    return tolerated / (workers - byzantine - tolerated)


def _robust(plan: Plan, kappa: float) -> str:
    f, m, beta = plan.lost().size, len(plan.groups), plan.aggregator.tolerates()
    honest = "with all honest" if plan.redundancy == 1 else "with most of each group honest"
    said = f"κ = {kappa:.3g} {f'whatever {f} of {m} send' if f else honest} (docs/RULES.md)"
    tolerated = f if beta is None else min(share(beta, m), (m - 1) // 2)
    if tolerated <= f:
        return said
    least, best = least_kappa(m, f, tolerated), least_kappa(m, f, f)
    return f"{said}; no rule set for {tolerated} can have less than {least:.3g}, one set for {f} may have {best:.3g}"


def _heterogeneous(start: Start, kappa: float | None, alpha: float) -> list[str]:
    """Return sentences by Allouah et al. 2023b; nothing if the plan does not descend along gradients."""
    if start.plan.algorithm.outside_p1(0) is None or len(start.honest) < 2:
        return []
    with np.errstate(all="ignore"):
        variances, squares = spread(start)
    if not np.isfinite([variances, squares]).all():
        return []
    found = covering(variances, squares)
    who = "workers" if start.plan.redundancy == 1 else "groups"
    seen = f"honest gradients of the first rounds ({len(start.honest)} of {len(start.plan.groups)} {who})"
    return [
        f"G² = {found.G2:.3g}, B² = {found.B2:.3g} cover the {seen}{'' if kappa is None else _converges(found, kappa)}",
        f"no rule has a guarantee from f/n = 1/(2 + B²) = {found.breakdown:.3g} on; here it is {alpha:.3g}",
    ]


def _converges(found: Dissimilarity, kappa: float) -> str:
    floor, product = found.floor(kappa), kappa * found.B2
    if floor is None:
        return f": with these κB² = {product:.3g}, and no descent is proved"
    return f": with these κB² = {product:.3g}, and ||∇F||² falls to {floor:.3g} without compression"


def spread(start: Start) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `mean_i ||∇F_i - ∇F||²` and `||∇F||²` at the start and where some rounds of all honest workers lead.

    Of a part of the workers, they are estimates without the bias that the mean of few is longer than that of all.
    """
    plan, few, honest = start.plan, len(start.honest), len(start.plan.groups) - start.plan.lost().size
    gamma = plan.algorithm.query(plan.algorithm.start(start.x, start)).scale
    variances, squares, x = np.zeros(_ROUNDS + 1), np.zeros(_ROUNDS + 1), start.x
    for t in range(_ROUNDS + 1):
        own = (start.gradients[at] if t == 0 else plan.problem.gradient(x, start.shards[at]) for at in start.honest)
        table = np.array(list(own), dtype=np.float64)
        mean = table.mean(axis=0)
        sample = ((table - mean) ** 2).sum() / (few - 1)
        variances[t] = (1 - 1 / honest) * sample
        squares[t] = max(mean @ mean - (1 / few - 1 / honest) * sample, 0.0)
        x = x - gamma * mean
    return variances, squares


def covering(variances: NDArray[np.float64], squares: NDArray[np.float64]) -> Dissimilarity:
    """Return G² and B² >= 0 with `variances <= G² + B² squares`, of those the pair with the smallest sum of excesses.

    Few points cannot tell the two apart for sure: more of them could only ask for more.
    """
    some = squares > 0
    rise, run = np.subtract.outer(variances, variances), np.subtract.outer(squares, squares)
    slopes = np.concatenate([[0.0], variances[some] / squares[some], rise[run > 0] / run[run > 0]])
    slopes = slopes[slopes >= 0]
    levels = np.maximum((variances - slopes[:, None] * squares).max(axis=1), 0.0)
    best = int(np.argmin(levels + slopes * squares.mean()))
    return Dissimilarity(float(levels[best]), float(slopes[best]))
