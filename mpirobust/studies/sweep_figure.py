"""The picture of a sweep: what suits its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mpirobust.reports.bands import Frame, draw_bands
from mpirobust.reports.ends import Line, draw_ends
from mpirobust.reports.metrics import LABELS, SHARES
from mpirobust.reports.scales import scale_of
from mpirobust.studies.claims import counted
from mpirobust.studies.outcome import outcome
from mpirobust.studies.points import value_of
from mpirobust.studies.sweep_table import SEED, Point, Table

_MOST_LINES = 7  # that can be told apart
_FEWEST_VALUES = 4  # of a number for which an axis is drawn


def draw(table: Table, out: Sequence[Path]) -> str:
    """Draw the picture into every path of `out`; return what is drawn, '' if there is nothing to draw.

    If a key has four or more numbers, and the other keys make no more lines than can be told apart: the metric at the
    end against this key. Otherwise the metric against rounds, of the best points if there are too many.

    Raises:
        Fault: as `curves.figure`.
    """
    points = [point for point in table.points if point.done]
    if not any(point.whole for point in points):
        return ""
    name = LABELS[table.metric]
    over = ", mean and range over the seeds" if table.seeded else ""
    key = _across(table)
    if key:
        draw_ends(_lines(points, key), out, table.metric, key, f"{table.swept.plan.stem}: {name} at the end")
        return f"{name} at the end of the runs against {key}{over}"
    shown = points if len(points) <= _MOST_LINES else sorted(points, key=lambda point: point.mean)[:_MOST_LINES]
    which = "" if len(shown) == len(points) else f"the best {len(shown)} of "
    bands = {}
    for point in shown:
        found = outcome([run.job.folder for run in point.runs], table.metric)
        bands[_label(point.assignments)] = (found.at, found.values, int(found.diverged.sum()))
    scale = scale_of(np.concatenate([values.ravel() for _, values, _ in bands.values()]), table.metric in SHARES)
    frame = Frame(table.swept.plan.stem, table.metric, "round", scale.name, threshold=scale.threshold)
    draw_bands({"": bands}, out, frame)
    return f"{name} against rounds of {which}{counted(len(points), 'point')}{over}"


def _across(table: Table) -> str:
    """Return the key of the horizontal axis: that of the most numbers; '' if none has enough, or lines are too many."""
    numeric = {
        axis.key: len(axis.values) for axis in table.swept.axes if axis.key != SEED and _are_numbers(axis.assignments())
    }
    key = max(numeric, key=lambda each: numeric[each], default="")
    lines = {_others(point.assignments, key) for point in table.points}
    return key if key and numeric[key] >= _FEWEST_VALUES and len(lines) <= _MOST_LINES else ""


def _lines(points: Sequence[Point], key: str) -> Mapping[str, Line]:
    """Return the lines by their labels; a point with a run that diverged is left out, and the label counts them."""
    grouped: dict[tuple[str, ...], list[Point]] = {}
    for point in points:
        grouped.setdefault(_others(point.assignments, key), []).append(point)
    lines = {}
    for others, of in grouped.items():
        whole = sorted(((_number(point, key), point) for point in of if point.whole), key=lambda pair: pair[0])
        values = np.array([[point.mean, min(point.finals), max(point.finals)] for _, point in whole]).reshape(-1, 3)
        lost = f" ({len(of) - len(whole)} of {len(of)} diverge)" if len(whole) < len(of) else ""
        lines[_label(others) + lost] = (np.array([at for at, _ in whole], np.float64), values.T)
    return lines


def _others(assignments: Sequence[str], key: str) -> tuple[str, ...]:
    return tuple(each for each in assignments if each.partition("=")[0] != key)


def _number(point: Point, key: str) -> float:
    return float(next(value_of(each) for each in point.assignments if each.partition("=")[0] == key))


def _are_numbers(assignments: Sequence[str]) -> bool:
    return all(isinstance(value_of(each), int | float) and not isinstance(value_of(each), bool) for each in assignments)


def _label(assignments: Sequence[str]) -> str:
    """Return the assignments with the last parts of their keys, which tell them apart as a rule."""
    keys = [each.partition("=")[0] for each in assignments]
    last = [key.rpartition(".")[2] for key in keys]
    names = last if len(set(last)) == len(last) else keys
    values = (each.partition("=")[2] for each in assignments)
    return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True)) or "mean"
