"""A table of runs that are averaged: a line for each group, with the mean and the range of its runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpirobust.reports.groups import Group
from mpirobust.reports.run_table import FIGURES, FIRST_TO_GO, NEXT_TO_GO, SHORT_NAMES, fitted, short_cell

_PARTS = ("", "_least", "_most")  # of the name of a column; the first is the mean


def table(groups: Sequence[Group]) -> list[list[str]]:
    """Return a head and a line per group: its label, runs, how many diverged; mean and range of each figure."""
    rows = [["curve", "runs", "diverged", *(f"{name}{part}" for name in FIGURES for part in _PARTS)]]
    for group in groups:
        known = [_parts(group, name) for name in FIGURES]
        parts = [cell for each in known for cell in (map(str, each) if each else [""] * len(_PARTS))]
        rows.append([group.label, str(len(group.runs)), str(group.diverged), *parts])
    return rows


def as_text(groups: Sequence[Group]) -> str:
    """Return the table as text, as wide as the terminal at most."""
    columns = {"curve": ["curve", *(group.label for group in groups)]}
    if any(group.diverged for group in groups):
        columns["diverged"] = ["diverged", *(str(group.diverged) for group in groups)]
    for name in FIGURES:
        cells = [_range(name, group) for group in groups]
        if any(cells) and name != "bytes":
            columns[name] = [SHORT_NAMES.get(name, name), *cells]
    return fitted(columns, [*FIRST_TO_GO, *NEXT_TO_GO])


def _parts(group: Group, name: str) -> list[float] | None:
    """Return mean, least and most of a figure of the summary over the runs that have it; None if none has."""
    values = [run.figures[name] for run in group.runs if run.figures.get(name) is not None]
    if not values:
        return None
    with np.errstate(all="ignore"):
        return [float(np.mean(values)), min(values), max(values)]


def _range(name: str, group: Group) -> str:
    parts = _parts(group, name)
    if parts is None:
        return ""
    mean, least, most = (short_cell(name, str(each)) for each in parts)
    return mean if least == most else f"{mean} ({least} to {most})"
