"""Evaluates the honest objective at a cadence, outside the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, isnan, nan
from time import perf_counter

import numpy as np

from mpirobust.cluster.base import Audit
from mpirobust.observers.base import Moment, Observer, Status
from mpirobust.records.trace import Trace
from mpirobust.types import Vector


class Auditor(Observer):
    """Adds audit rows to the trace: before the first round, every `every` rounds, and at the end.

    Stops the run as diverged where the audited loss is not finite, and as
    converged where it meets a stop rule.

    Args:
        solutions: the minima where they are known; the distance to the nearest is audited too.
        gradient_norm, loss: the run has converged at or below these; None for no such rule.
        curvature: where the gradient is small enough, λ_min is measured as well, and has to be at least minus this.
        curvature_every: λ_min is measured in audits of rounds that this divides, and of the last; None for never.
    """

    def __init__(
        self,
        trace: Trace,
        every: int,
        solutions: Sequence[Vector],
        gradient_norm: float | None,
        loss: float | None,
        curvature: float | None,
        curvature_every: int | None,
    ) -> None:
        self._trace = trace
        self._every = every
        self._solutions = solutions
        self._gradient_norm = -inf if gradient_norm is None else gradient_norm
        self._loss = -inf if loss is None else loss
        self._curvature = curvature
        self._curvature_every = curvature_every

    def before_first_round(self, moment: Moment) -> Status | None:
        return self._timed_audit(moment) if self._due(moment.round) else self._judge()

    def after_round(self, moment: Moment) -> Status | None:
        return self._timed_audit(moment) if self._due(moment.round) else None

    def final_queries(self, moment: Moment, status: Status) -> None:
        if status is Status.INTERRUPTED:
            return  # the resumed run must leave the same rows as an undisturbed one
        if self._last() < moment.round and not moment.cluster.depleted:
            self._audit(moment)
        if moment.cluster.depleted:
            return
        row = self._trace.audits.rows[-1]
        if self._curvature_every is not None and isnan(row["lambda_min"]):
            lambda_min = moment.cluster.lambda_min(moment.state.x)
            row["lambda_min"] = nan if moment.cluster.depleted else lambda_min

    def after_last_round(self, moment: Moment, status: Status) -> None:
        pass

    def _due(self, round: int) -> bool:
        return round % self._every == 0 and self._last() < round

    def _last(self) -> int:
        """The round of the newest audit."""
        audited = self._trace.audits.rows["round"]
        return int(audited[-1]) if audited.size else -1

    def _timed_audit(self, moment: Moment) -> Status | None:
        began = perf_counter()
        if not self._audit(moment):
            return None
        moment.times.audit = perf_counter() - began
        return self._judge()

    def _audit(self, moment: Moment) -> bool:
        """Add an audit row, unless too many workers are lost for it."""
        x = moment.state.x
        audit = moment.cluster.audit(x)
        lambda_min = moment.cluster.lambda_min(x) if self._curves(moment.round, audit) else nan
        if moment.cluster.depleted:
            return False  # it is of few workers or none; the resumed run makes it of all
        row = self._trace.audits.append()
        row["round"] = moment.round
        row["loss"] = audit.loss
        row["gradient_norm"] = audit.gradient_norm
        row["test_accuracy"] = audit.test_accuracy
        row["distance"] = min((np.sqrt((x - w) @ (x - w)) for w in self._solutions), default=nan)
        row["lambda_min"] = lambda_min
        return True

    def _judge(self) -> Status | None:
        """What the last audit says."""
        row = self._trace.audits.rows[-1]
        if not isfinite(row["loss"]):
            return Status.DIVERGED
        stationary = row["gradient_norm"] <= self._gradient_norm
        if self._curvature is not None:
            stationary = stationary and row["lambda_min"] >= -self._curvature
        return Status.CONVERGED if stationary or row["loss"] <= self._loss else None

    def _curves(self, round: int, audit: Audit) -> bool:
        """Whether this audit has λ_min."""
        due = self._curvature_every is not None and round % self._curvature_every == 0
        return due or (self._curvature is not None and audit.gradient_norm <= self._gradient_norm)
