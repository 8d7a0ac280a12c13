"""The table of a sweep: what was measured at the end of every run, and of every point over its seeds."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mpirobust.files import write_table
from mpirobust.meter import metered
from mpirobust.observers.base import Status
from mpirobust.reports.metrics import DERIVED
from mpirobust.reports.run_table import aligned
from mpirobust.reports.summary import DONE, summary
from mpirobust.studies.campaign import Job, is_done
from mpirobust.studies.claims import counted
from mpirobust.studies.outcome import outcome
from mpirobust.studies.points import Axis, value_of

SEED = "seed"  # the key over whose values a point is averaged
_POINTS, _RUNS = "sweep.csv", "runs.csv"
_SHOWN = 30  # points in the table on the terminal, and of those that are named below it

_OBJECTIVE = ("loss", "gradient_norm", "distance", "test_accuracy", "test_loss", "balanced_accuracy", "auc")
_COSTS = ("bytes_up", "bytes_down", "bytes", "seconds")


@dataclass(frozen=True)
class Swept:
    """The points of a sweep and their runs.

    Attributes:
        plan: the plan.
        axes: the keys that vary, and their values.
        fixed: the assignments that hold for all points.
        runs: the job of each point, by its assignments, one for each axis.
    """

    plan: Path
    axes: Sequence[Axis]
    fixed: tuple[str, ...]
    runs: Mapping[tuple[str, ...], Job]

    def jobs(self) -> list[Job]:
        """Return all jobs, in the order of the points."""
        return list(self.runs.values())


@dataclass(frozen=True)
class Ended:
    """A run and its end.

    Attributes:
        assignments: of all axes.
        status: as in its trace; `failed` if it failed.
        figures: as in its summary; empty without a trace.
        final: the metric at the end; +inf if it diverged, nan if the run is not done, or does not measure it.
        reason: why it failed; '' if it did not.
    """

    job: Job
    assignments: tuple[str, ...]
    status: str
    figures: Mapping[str, Any]
    final: float
    reason: str

    @property
    def seed(self) -> str:
        """The seed, '' if it does not vary."""
        return next((each.partition("=")[2] for each in self.assignments if _is_seed(each)), "")


@dataclass(frozen=True)
class Point:
    """A point and its runs, one for each seed.

    Attributes:
        assignments: those of the axes but the seed.
    """

    assignments: tuple[str, ...]
    runs: Sequence[Ended]

    @property
    def whole(self) -> bool:
        """True if all runs have come to their end and none has diverged: else there is no mean."""
        return all(run.status in DONE - {Status.DIVERGED} for run in self.runs)

    @property
    def done(self) -> bool:
        """True if all runs have come to an end, diverged ones too."""
        return all(run.status in DONE for run in self.runs)

    @property
    def finals(self) -> list[float]:
        """The metric of every run."""
        return [run.final for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean of the metric; +inf without one."""
        return float(np.mean(self.finals)) if self.whole else np.inf

    @property
    def status(self) -> str:
        """The status of the runs, with their numbers if they differ."""
        counted = Counter(run.status for run in self.runs)
        return ", ".join(counted if len(counted) == 1 else (f"{count} {status}" for status, count in counted.items()))


class Table:
    """The runs and the points of a sweep.

    Attributes:
        measured: whether a run has the metric at all.

    Args:
        metric: by which the best point is chosen; the smaller the better.
        failed: the reasons of those that failed, by folder.

    Raises:
        SetupFault: a trace cannot be read.
    """

    def __init__(self, swept: Swept, metric: str, failed: Mapping[Path, str]) -> None:
        self.swept = swept
        self.metric = metric
        every = metered(swept.runs.items(), "reading runs", " runs")
        self.runs = [_ended(assignments, job, metric, failed) for assignments, job in every]
        points: dict[tuple[str, ...], list[Ended]] = {}
        for run in self.runs:
            points.setdefault(tuple(each for each in run.assignments if not _is_seed(each)), []).append(run)
        self.points = [Point(assignments, runs) for assignments, runs in points.items()]
        self.measured = any(_is_measured(run.figures, metric) for run in self.runs)
        own = [] if metric in _OBJECTIVE or not self.measured else [metric]
        measured = [name for name in _OBJECTIVE if any(run.figures.get(name) is not None for run in self.runs)]
        self.columns = [*own, *measured, *_COSTS]

    @property
    def best(self) -> Point | None:
        """The point of the smallest mean; None if none has one."""
        best = min(self.points, key=lambda point: point.mean)
        return best if np.isfinite(best.mean) else None

    def write(self, out: Path) -> dict[Path, str]:
        """Write the tables into `out`; return the files and what they hold. Raises as `write_table`."""
        write_table(out / _POINTS, [self._row_of_point(point) for point in self.points])
        write_table(out / _RUNS, [self._row_of_run(run) for run in self.runs])
        means = "means over the seeds, the smallest and the largest" if self.seeded else "what was measured at the end"
        return {out / _POINTS: f"a row for each point, {means}", out / _RUNS: "a row for each run"}

    def as_text(self) -> str:
        """Return the table of the points, what did not come to its end, and the best point, as text."""
        shown = self.points
        lines = []
        if len(shown) > _SHOWN:
            shown = sorted(shown, key=lambda point: point.mean)[:_SHOWN]
            lines.append(f"the best {_SHOWN} of {len(self.points)} points:")
        rows = [self._row_of_point(point) for point in shown]
        named = [*_values(self.points[0].assignments), "status"]
        spread = [f"{self.metric}{which}" for which in ("", "_min", "_max")]
        others = ["test_accuracy"] * (self.metric != "test_accuracy")
        columns = [name for name in (*named, *spread, *others, "bytes", "seconds") if name in rows[0]]
        lines.append(aligned([columns, *([_cell(row[name]) for name in columns] for row in rows)]))
        for status in (Status.DIVERGED, "failed"):
            lines += _named(status, self.points)
        return "\n".join([*lines, *self._said_of_best()])

    def _said_of_best(self) -> list[str]:
        best = self.best
        if best is None:
            return [f"no best point by {self.metric}: each has a run that diverged or failed"]
        finals = best.finals
        over = f" ({min(finals):.6g} to {max(finals):.6g} over {len(finals)} seeds)" if len(finals) > 1 else ""
        settings = [word for each in (*self.swept.fixed, *best.assignments) for word in ("--set", each)]
        command = shlex.join(["mpirobust", "run", str(self.swept.plan), *settings])
        equal = sum(point.mean == best.mean for point in self.points) - 1
        also = f", as at {counted(equal, 'other point')}" if equal else ""
        return [f"best by {self.metric}: {best.mean:.6g}{over}{also}", f"  {command}"]

    @property
    def seeded(self) -> bool:
        """True if the seed varies."""
        return any(axis.key == SEED for axis in self.swept.axes)

    def _row_of_point(self, point: Point) -> dict[str, Any]:
        row: dict[str, Any] = {**_values(point.assignments), "status": point.status}
        if self.seeded:
            diverged = [run.seed for run in point.runs if run.status == Status.DIVERGED]
            row |= {"runs": len(point.runs), "diverged": " ".join(diverged)}
        for name in self.columns:
            values: list[Any] = [run.final if name == self.metric else run.figures.get(name) for run in point.runs]
            known = point.whole and None not in values
            row[name] = (np.mean(np.array(values, np.float64)) if len(values) > 1 else values[0]) if known else ""
            if self.seeded:
                row |= {f"{name}_min": min(values) if known else "", f"{name}_max": max(values) if known else ""}
        return row

    def _row_of_run(self, run: Ended) -> dict[str, Any]:
        known = {**run.figures, **({} if np.isnan(run.final) else {self.metric: run.final})}
        values = {name: known.get(name, "") for name in self.columns}
        ended = {"status": run.status, "rounds": run.figures.get("rounds", "")}
        origin = {"reason": run.reason, "run": run.job.folder.name, "set": shlex.join(run.job.overrides)}
        return {**_values(run.assignments), **ended, **values, **origin}


def _ended(assignments: tuple[str, ...], job: Job, metric: str, failed: Mapping[Path, str]) -> Ended:
    if job.folder in failed:
        return Ended(job, assignments, "failed", {}, np.nan, failed[job.folder])
    figures = summary(job.folder)
    there = _is_measured(figures, metric) and is_done(job.folder)
    final = float(outcome([job.folder], metric).final[0]) if there else np.nan
    return Ended(job, assignments, figures["status"], figures, final, "")


def _is_measured(figures: Mapping[str, Any], metric: str) -> bool:
    column = DERIVED[metric][0] if metric in DERIVED else metric
    return figures.get(column) is not None


def _is_seed(assignment: str) -> bool:
    return assignment.partition("=")[0] == SEED


def _values(assignments: Sequence[str]) -> dict[str, Any]:
    return {each.partition("=")[0]: value_of(each) for each in assignments}


def _named(status: str, points: Sequence[Point]) -> list[str]:
    """Return a line for each point that has runs of this status, with their seeds."""
    lines = []
    for point in points:
        seeds = [f"seed={run.seed}" if run.seed else "" for run in point.runs if run.status == status]
        lines += [" ".join(part for part in (f"{status}:", *point.assignments, *seeds) if part)] if seeds else []
    more = [f"and {len(lines) - _SHOWN} more points, in {_RUNS}"] if len(lines) > _SHOWN else []
    return lines[:_SHOWN] + more


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
