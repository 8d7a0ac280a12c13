"""The claims of a paper, compared with measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.reports.metrics import Metric
from mpirobust.studies.family import Case, Claim
from mpirobust.studies.outcome import Outcome

LEVEL = 0.95  # of every interval

HEAD = ["| the paper says | verdict | measured |", "| --- | --- | --- |"]
LEGEND = (
    "Every claim is judged on all seeds that were run, each by itself. Measured are medians over the seeds, with a "
    "95 % interval of order statistics (fewer than six seeds have none: their range is in its place). A claim also "
    "says for how many seeds the comparison holds, with the exact 95 % interval of Clopper and Pearson for the share. "
    "The tables of races have medians only."
)
DIGITS = 4  # significant ones of a measured number

Measured = Mapping[tuple[str, Metric], Outcome]  # by label of the curve and metric


@dataclass(frozen=True)
class Finding:
    """The result of one comparison: the values and the limits of every seed, each of shape (seeds,)."""

    case: Case
    values: NDArray[np.float64]
    limits: NDArray[np.float64]

    @property
    def holding(self) -> int:
        """The number of seeds for which it holds."""
        return int((np.isfinite(self.values) & (self.values <= self.limits)).sum())

    @property
    def holds(self) -> bool:
        return self.holding == self.values.size

    def share(self) -> tuple[float, float]:
        """Return the Clopper-Pearson interval for the share of all seeds for which it holds."""
        from scipy.stats import binomtest

        interval = binomtest(self.holding, self.values.size).proportion_ci(LEVEL, method="exact")
        return float(interval.low), float(interval.high)


def find(case: Case, metric: Metric, measured: Measured) -> Finding:
    """Return the finding on `case`; `metric` is the family's. Raise `SetupFault` if its round was not audited."""
    what = case.metric or metric

    def values(label: str) -> NDArray[np.float64]:
        found = measured[label, what]
        try:
            return found.final if case.round is None else found.after(case.round)
        except SetupFault as fault:
            raise SetupFault(f"a claim on {label!r}: {fault}") from fault

    mine = values(case.curve)
    if case.against is None:
        return Finding(case, mine, np.full(mine.size, case.bound))
    return Finding(case, mine, case.factor * values(case.against))


def median_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return two of the values, shape (n,), that enclose the median of their distribution with probability `LEVEL`.

    They are the order statistics that a binomial distribution gives, whatever the distribution of the values; infinite
    values are allowed. With fewer than six values no two are enough, and these are the smallest and the largest.
    """
    from scipy.stats import binom

    ordered = np.sort(values)
    below = max(0, int(binom.ppf((1 - LEVEL) / 2, values.size, 0.5)) - 1)
    return float(ordered[below]), float(ordered[values.size - 1 - below])


def verdict(findings: list[Finding]) -> str:
    """Return `holds`, `does not hold`, or when and for how many seeds it holds."""
    if all(finding.holds for finding in findings):
        return "holds"
    some = [
        finding.case.when + ("" if finding.holds else f" ({finding.holding} of {counted(finding.values.size)})")
        for finding in findings
        if finding.holding
    ]
    return f"holds only if: {'; '.join(some)}" if some else "does not hold"


def row(claim: Claim, metric: Metric, measured: Measured, settings: Mapping[str, str]) -> str:
    """Return one row of the table of claims, in Markdown.

    Args:
        settings: for each curve the data, the size and the seeds, as text.
    """
    findings = [find(case, metric, measured) for case in claim.cases]
    said = "<br>".join(_said(finding, settings[finding.case.curve]) for finding in findings)
    return f"| {claim.says} | **{verdict(findings)}** | {said} |"


def _said(finding: Finding, setting: str) -> str:
    case, seeds = finding.case, finding.values.size
    low, high = finding.share()
    if case.against is None:
        limit = f"at most {case.bound:.{DIGITS}g}"
    else:
        limit = f"{spread(finding.limits / case.factor)} for {case.against}"
        if case.factor != 1:
            limit = f"{case.factor:g} times {limit}"
    share = f"{finding.holding} of {counted(seeds)}, {low:.0%} to {high:.0%}"
    return f"{case.when}: {spread(finding.values)} against {limit} ({share}; {setting})"


def counted(count: int, what: str = "seed") -> str:
    """Return `3 seeds`, `1 seed` and so on."""
    return f"{count} {what}{'s' * (count != 1)}"


def spread(values: NDArray[np.float64]) -> str:
    """Return the median over the seeds and its interval as text; values, of shape (seeds,), may be infinite."""
    middle, (low, high) = float(np.median(values)), median_interval(values)
    if middle == low == high:
        return _number(middle)
    return f"{_number(middle)} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    return f"{value:.{DIGITS}g}" if np.isfinite(value) else "divergence" if value == np.inf else "-"
