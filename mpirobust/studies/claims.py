"""The claims of a paper, compared with measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpirobust.errors import SetupFault
from mpirobust.studies.family import Case, Claim, Metric
from mpirobust.studies.outcome import Outcome

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


def verdict(findings: list[Finding]) -> str:
    """Return `holds`, `holds only if ...` or `does not hold`."""
    holding = [finding.case.when for finding in findings if finding.holds]
    if len(holding) == len(findings):
        return "holds"
    return f"holds only if: {'; '.join(holding)}" if holding else "does not hold"


def row(claim: Claim, metric: Metric, measured: Measured) -> str:
    """Return one row of the table of claims, in Markdown."""
    findings = [find(case, metric, measured) for case in claim.cases]
    said = "<br>".join(_said(finding) for finding in findings)
    return f"| {claim.says} | **{verdict(findings)}** | {said} |"


def _said(finding: Finding) -> str:
    case, seeds = finding.case, finding.values.size
    if case.against is None:
        limit = f"at most {case.bound:.4g}"
    else:
        limit = f"{_typical(finding.limits / case.factor)} for {case.against}"
        if case.factor != 1:
            limit = f"{case.factor:g} times {limit}"
    return f"{case.when}: {_typical(finding.values)} against {limit} ({finding.holding} of {seeds} seeds)"


def _typical(values: NDArray[np.float64]) -> str:
    """Return the median over the seeds."""
    middle = float(np.sort(values)[(values.size - 1) // 2])
    return f"{middle:.4g}" if np.isfinite(middle) else "divergence"
