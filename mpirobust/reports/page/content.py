"""The content of a page of results, as numbers and texts: read from traces, averaged, and thinned to fit a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.meter import metered
from mpirobust.observers.base import Status
from mpirobust.records.layout import TRACE
from mpirobust.records.tables import open_trace
from mpirobust.reports.bands import Band
from mpirobust.reports.groups import Group, aligned, equal, measured
from mpirobust.reports.metrics import AXES, SHARES
from mpirobust.reports.naming import folder_names
from mpirobust.reports.page import workers
from mpirobust.reports.run_table import RunRow
from mpirobust.reports.scales import scale_of
from mpirobust.reports.series import Audits, audits_of
from mpirobust.reports.summary import DONE, said_of_writer

METRICS = (
    *("loss", "gradient_norm", "distance", "test_accuracy"),
    *("test_loss", "balanced_accuracy", "auc", "lambda_min"),
)
_POINTS, _ALL_POINTS, _LEAST_POINTS = 400, 12_000, 60  # of a curve, of all of them, and of each of very many
_MAPS = 12  # runs whose workers are shown one by one
_MANY = 10  # curves that can be told apart at a glance


@dataclass(frozen=True)
class Shown:
    """A run as it is on the page.

    Attributes:
        name: no other run has it.
        row: its plan and summary, with `precision` and `recall` of its rule.
        audits: its curves.
        plan: the text of its plan.
        facts: versions, hosts and so on, by the names of the trace.
        detail: of its workers; None if there is no room.
    """

    name: str
    row: RunRow
    audits: Audits
    plan: str
    facts: Mapping[str, str]
    detail: dict[str, Any] | None


@dataclass(frozen=True)
class Curve:
    """A group as it is on the page.

    Attributes:
        label: of the group.
        shown: its runs.
        axes: by the names of `metrics.AXES`, the mean of its runs after each of A rounds, shape (A,).
        values: by the names of `METRICS`, those of each run after these rounds, shape (runs, A).
    """

    label: str
    shown: Sequence[Shown]
    axes: Mapping[str, NDArray[np.float64]]
    values: Mapping[str, NDArray[np.float64]]

    @property
    def means(self) -> dict[str, NDArray[np.float64]]:
        """The mean of its runs, which ends where one of them is no longer finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            return {metric: values.mean(axis=0) for metric, values in self.values.items()}

    def band(self, metric: str, against: str) -> Band:
        """Return the band of a metric, for a figure."""
        diverged = sum(each.row.status == Status.DIVERGED for each in self.shown)
        return self.axes[against], self.values[metric], diverged


def read(groups: Sequence[Group]) -> list[Curve]:
    """Return the curves of the groups, from their traces; raise `SetupFault` if one cannot be read."""
    every = [run for group in groups for run in group.runs]
    names = dict(zip([id(run) for run in every], folder_names([run.folder for run in every]), strict=True))
    with_map = {id(run) for run in every[:_MAPS]}
    shown = {
        id(run): _shown(run, names[id(run)], id(run) in with_map) for run in metered(every, "reading curves", " runs")
    }
    return [_curve(group.label, [shown[id(run)] for run in group.runs]) for group in groups]


def _shown(run: RunRow, name: str, with_map: bool) -> Shown:
    with open_trace(run.folder / TRACE) as file:
        count, byzantine = run.figures["workers"], file["workers/byzantine"][:]
        kept = file["rounds/kept"][:]
        present = ~file["rounds/absent"][:] if "absent" in file["rounds"] else np.ones_like(kept)
        figures = {**run.figures, **workers.judged(kept, present, byzantine)}
        facts = {key: str(value) for key, value in file.attrs.items() if key not in ("plan", "kind", "format")}
        return Shown(
            name=name,
            row=replace(run, figures=figures),
            audits=audits_of(file),
            plan=str(file.attrs["plan"]),
            facts=facts,
            detail=workers.detail(file, count, byzantine) if with_map else None,
        )


def _curve(label: str, shown: Sequence[Shown]) -> Curve:
    rows, rounds = [each.row for each in shown], [each.audits.axes["round"] for each in shown]
    axes = {
        name: aligned(rows, rounds, [each.audits.axes[name].astype(np.float64) for each in shown])[1].mean(axis=0)
        for name in AXES
    }
    columns = {name: [each.audits.columns[name] for each in shown] for name in METRICS}
    known = {name: each for name, each in columns.items() if not any(np.isnan(column).all() for column in each)}
    return Curve(label, shown, axes, {name: measured(rows, rounds, each)[1] for name, each in known.items()})


def as_json(curves: Sequence[Curve]) -> dict[str, Any]:
    """Return what the figures of the page are drawn from, ready for JSON: numbers of six digits, None if not finite."""
    points = min(_POINTS, max(_LEAST_POINTS, _ALL_POINTS // len(curves)))
    return {
        "curves": [_thinned(curve, points) for curve in curves],
        "scales": {name: _scale(name, curves) for name in metrics_of(curves)},
        "workers": [
            {"name": each.name, **each.detail} for curve in curves for each in curve.shown if each.detail is not None
        ],
    }


def metrics_of(curves: Sequence[Curve]) -> list[str]:
    """Return the metrics that one of the curves has, in the order of the page."""
    return [name for name in METRICS if any(name in curve.values for curve in curves)]


def _scale(metric: str, curves: Sequence[Curve]) -> dict[str, Any]:
    every = np.concatenate([curve.values[metric].ravel() for curve in curves if metric in curve.values])
    return asdict(scale_of(every, metric in SHARES))


def _thinned(curve: Curve, points: int) -> dict[str, Any]:
    at = places(list(curve.means.values()), curve.axes["round"].size, points)
    several = len(curve.shown) > 1
    return {
        "label": curve.label,
        "x": {name: _numbers(axis[at]) for name, axis in curve.axes.items()},
        "y": {
            name: {
                "middle": _numbers(curve.means[name][at]),
                **({"least": _numbers(values.min(axis=0)[at])} if several else {}),
                **({"most": _numbers(values.max(axis=0)[at])} if several else {}),
            }
            for name, values in curve.values.items()
        },
    }


def places(columns: Sequence[NDArray[np.float64]], count: int, most: int) -> NDArray[np.intp]:
    """Return the indices, ascending, at which columns of `count` values are drawn: all, or about `most`.

    Of many, these are the ends, and in each of equal parts the largest and the smallest value of every column.
    """
    if count <= most:
        return np.arange(count)
    chosen = {0, count - 1}
    cuts = workers.bins(count, max(1, most // (2 * max(1, len(columns)))))
    for first, end in pairwise(cuts):
        for column in columns:
            part = column[first:end]
            if np.isfinite(part).any():
                chosen |= {int(first + np.nanargmin(part)), int(first + np.nanargmax(part))}
    return np.array(sorted(chosen), dtype=np.intp)


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{each:.6g}") if isfinite(each) else None for each in values.tolist()]


def notes(curves: Sequence[Curve], left_out: Sequence[str]) -> list[str]:
    """Return what a reader of the page has to know, a sentence or two each.

    Args:
        left_out: the runs that are not on the page, and why.
    """
    said = [f"Not on this page: {each}." for each in left_out]
    for shown in (each for curve in curves for each in curve.shown):
        run = shown.row
        if run.status == Status.RUNNING:
            said.append(
                f"{shown.name}: running after {run.rounds} rounds. Its writer is {said_of_writer(run.figures)}."
            )
        elif run.status == Status.DIVERGED:
            said.append(f"{shown.name}: diverged after {run.rounds} rounds, where its curves end.")
        elif run.status not in DONE:
            said.append(f"{shown.name}: {run.status} after {run.rounds} rounds.")
    metric = metrics_of(curves)[:1]
    alike = equal({curve.label: curve.values[name] for name in metric for curve in curves if name in curve.values})
    said += [f"These curves are equal in every audit: {'; '.join(labels)}." for labels in alike]
    if len(curves) > _MANY:
        said.append(f"{len(curves)} curves are more than one sees at a glance; the legend hides some of them.")
    if any(curve.axes["round"].size > _POINTS for curve in curves):
        said.append("Long curves are thinned: of each stretch of audits the largest and the smallest values are drawn.")
    return said


def without_map(curves: Sequence[Curve]) -> int:
    """Return the number of runs whose workers are not shown."""
    return sum(shown.detail is None for curve in curves for shown in curve.shown)
