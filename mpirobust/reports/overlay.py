"""Several runs in one figure for print: a curve for each, or the average of those that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mpirobust.errors import SetupFault
from mpirobust.files import printable
from mpirobust.observers.base import Status
from mpirobust.reports.bands import Band, Frame, draw_bands
from mpirobust.reports.groups import Group, aligned, equal
from mpirobust.reports.metrics import SHARES
from mpirobust.reports.scales import Scale, scale_of
from mpirobust.reports.series import audits
from mpirobust.terminal import note, plain

_MANY = 10  # curves that one figure can show


def draw(
    groups: Sequence[Group],
    out: Sequence[Path],
    metric: str,
    against: str,
    title: str = "",
    scale: str = "",
    quiet: bool = False,
) -> None:
    """Draw a curve for each group, its mean in a band from the smallest to the largest; say what the figure hides.

    Args:
        out: the files, one for each kind of picture.
        metric: of the audits; groups without it are named and left out.
        scale: of the metric; '' for one that suits its values.
        quiet: whether nothing is said.

    Raises:
        SetupFault: no group has the metric.
        Fault: as `curves.figure`.
    """
    found = {group: each for group in groups if (each := _band(group, metric, against)) is not None}
    if not found:
        raise SetupFault(f"none of these runs has {metric}")
    if not quiet:
        _tell(groups, found, metric)
    every = np.concatenate([values.mean(axis=0) for _, values, _ in found.values()])
    chosen = Scale(scale, scale_of(every).threshold) if scale else scale_of(every, metric in SHARES)
    bands = {_as_label(group.label): each for group, each in found.items()}
    draw_bands({"": bands}, out, Frame(_as_label(title), metric, against, chosen.name, threshold=chosen.threshold))


def _tell(groups: Sequence[Group], found: Mapping[Group, Band], metric: str) -> None:
    for group in groups:
        if group not in found:
            note(f"{group.label} has no {metric}")
    for labels in equal({group.label: values for group, (_, values, _) in found.items()}):
        note(f"these curves are equal: {'; '.join(labels)}")
    if len(found) > _MANY:
        note(f"{len(found)} curves in one figure; --by seed (or another key) makes one of several")


def _band(group: Group, metric: str, against: str) -> Band | None:
    """Return the band of a group; None if one of its runs has no such metric."""
    read = [audits(run.folder) for run in group.runs]
    columns = [each.values(metric) for each in read]
    if any(np.isnan(column).all() for column in columns):
        return None
    rounds = [each.axes["round"] for each in read]
    every, values = aligned(group.runs, rounds, columns)
    for row, own, run in zip(values, rounds, group.runs, strict=True):
        if run.status == Status.DIVERGED:
            row[~np.isfinite(row) | (every >= own[-1])] = np.inf
    _, at = aligned(group.runs, rounds, [each.axes[against].astype(np.float64) for each in read])
    return at.mean(axis=0), values, group.diverged


def _as_label(name: str) -> str:
    """Return the name as Matplotlib shows it: `$` begins no formula, and a label with `_` in front is not hidden."""
    name = plain(printable(name)).replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name
