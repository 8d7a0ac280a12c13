"""Evaluates the honest objective, outside the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite, isnan, nan
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mpirobust.cluster.row_metrics import RowMetrics
from mpirobust.components import Count, Field, component
from mpirobust.observers.base import Moment, Observer, RunContext, Status, Watch
from mpirobust.stop_rules import StopRules
from mpirobust.types import Vector

if TYPE_CHECKING:
    from mpirobust.records.trace import Trace

_ABSURD = 1e6  # times the loss at the start, or times 1 if that is smaller: no method is as far above its start


@component
class Audits(Observer):
    """Evaluates the honest objective; ends a run that has diverged or meets a rule of [stop].

    The start, the end and every `every` rounds are audited. The run has diverged if the audited loss is not finite. It
    has also diverged, but is not ended, if the loss at the end is above F0 + 1e6 max(1, |F0|) with F0 that of round 0.

    Attributes:
        every: rounds from audit to audit.
        curvature_every: rounds from one measurement of the smallest eigenvalue of the Hessian to the next, a multiple
            of every (default: none).
        metrics: what is measured on the test rows beside the accuracy; the last two need all their scores at the
            center.
        replay: the probability with which the center computes the message of a worker again, and names it in the trace
            if it sent something else (default: none).
    """

    every: Count = 1
    curvature_every: Count | None = None
    metrics: tuple[Literal["test_loss", "balanced_accuracy", "auc"], ...] | None = None
    replay: Annotated[float, Field(gt=0, le=1)] | None = None

    def __post_init__(self) -> None:
        if self.curvature_every is not None and self.curvature_every % self.every:
            raise ValueError(f"curvature_every = {self.curvature_every} must be a multiple of every = {self.every}")

    def start(self, run: RunContext) -> Auditor:
        return Auditor(self, run.stop, run.trace, run.solutions)


class Auditor(Watch):
    """Adds audit rows to the trace; see `Audits`.

    Args:
        solutions: the minima, if they are known, each of shape (d,); an audit has the distance to the nearest.
    """

    def __init__(self, plan: Audits, stop: StopRules, trace: Trace, solutions: Sequence[Vector] = ()) -> None:
        self._plan = plan
        self._stop = stop
        self._trace = trace
        self._solutions = solutions

    def before_first_round(self, moment: Moment) -> Status | None:
        return self._timed_audit(moment) if self._due(moment.round) else self._judge()

    def after_round(self, moment: Moment) -> Status | None:
        return self._timed_audit(moment) if self._due(moment.round) else None

    def final_queries(self, moment: Moment, status: Status) -> Status | None:
        if status is Status.INTERRUPTED:
            return None  # a resumed run must have the same rows as an undisturbed one
        if self._last() < moment.round and not moment.cluster.depleted:
            self._audit(moment)
        if moment.cluster.depleted:
            return None
        row = self._trace.audits.rows[-1]
        if self._plan.curvature_every is not None and isnan(row["lambda_min"]):
            lambda_min = moment.cluster.lambda_min(moment.state.x)
            row["lambda_min"] = nan if moment.cluster.depleted else lambda_min
        return Status.DIVERGED if self._has_diverged() else None

    def _due(self, round: int) -> bool:
        return round % self._plan.every == 0 and self._last() < round

    def _last(self) -> int:
        """Return the round of the newest audit, -1 if there is none."""
        audited = self._trace.audits.rows["round"]
        return int(audited[-1]) if audited.size else -1

    def _timed_audit(self, moment: Moment) -> Status | None:
        began = perf_counter()
        ahead = self._audit(moment)
        if ahead is None:
            return None
        moment.times.audit += max(0.0, perf_counter() - began - ahead)
        moment.times.compute += ahead
        return self._judge()

    def _audit(self, moment: Moment) -> float | None:
        """Add an audit row and return `Audit.ahead`; return None if too many workers are lost for an audit."""
        x = moment.state.x
        audit = moment.cluster.audit(x)
        with_curvature = self._measures_curvature(moment.round, audit.gradient_norm)
        lambda_min = moment.cluster.lambda_min(x) if with_curvature else nan
        asked = self._plan.metrics or ()
        tested = moment.cluster.row_metrics(x, by_row={*asked} != {"test_loss"}) if asked else RowMetrics()
        if moment.cluster.depleted:
            return None  # these values are of the remaining workers; the resumed run audits all of them
        row = self._trace.audits.append()
        row["round"] = moment.round
        row["loss"] = audit.loss
        row["gradient_norm"] = audit.gradient_norm
        row["test_accuracy"] = audit.test_accuracy
        row["distance"] = min((np.sqrt((x - w) @ (x - w)) for w in self._solutions), default=nan)
        row["lambda_min"] = lambda_min
        for name, value in asdict(tested).items():
            row[name] = value if name in asked else nan
        return audit.ahead

    def _judge(self) -> Status | None:
        """Return the status with which the newest audit ends the run; None if it does not."""
        row = self._trace.audits.rows[-1]
        if not isfinite(row["loss"]):
            return Status.DIVERGED
        converged = self._stop.met(row["loss"], row["gradient_norm"], row["lambda_min"])
        return Status.CONVERGED if converged else None

    def _has_diverged(self) -> bool:
        """Return whether the newest audited loss is not finite or far above that of round 0, if that was audited."""
        first, last = self._trace.audits.rows[[0, -1]]
        start, end = float(first["loss"]), float(last["loss"])
        return not isfinite(end) or (first["round"] == 0 and end > start + _ABSURD * max(1.0, abs(start)))

    def _measures_curvature(self, round: int, gradient_norm: float) -> bool:
        every = self._plan.curvature_every
        return (every is not None and round % every == 0) or self._stop.needs_curvature(gradient_norm)
