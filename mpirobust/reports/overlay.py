"""Several runs in one figure for print: a curve for each, or the average of those that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mpirobust.errors import SetupFault
from mpirobust.files import printable
from mpirobust.meter import metered
from mpirobust.reports.bands import Band, Frame, draw_bands
from mpirobust.reports.groups import Group, aligned, equal, measured
from mpirobust.reports.metrics import SHARES
from mpirobust.reports.scales import Scale, scale_of
from mpirobust.reports.series import audits
from mpirobust.terminal import note, plain

_MANY = 10  # curves that one figure can show


def draw(
    bands: Mapping[str, Band], out: Sequence[Path], metric: str, against: str, title: str = "", scale: str = ""
) -> None:
    """Draw a line for each label, the mean of its runs, in a band from the smallest to the largest.

    Args:
        out: the files, one for each kind of picture.
        scale: of the metric; '' for one that suits its values.

    Raises:
        Fault: as `curves.figure`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        every = np.concatenate([values.mean(axis=0) for _, values, _ in bands.values()])
    chosen = Scale(scale, scale_of(every).threshold) if scale else scale_of(every, metric in SHARES)
    named = {_as_label(label): band for label, band in bands.items()}
    draw_bands({"": named}, out, Frame(_as_label(title), metric, against, chosen.name, threshold=chosen.threshold))


def bands_of(groups: Sequence[Group], metric: str, against: str) -> dict[str, Band]:
    """Return the bands of the groups that have the metric; note what a figure of them hides.

    Raises:
        SetupFault: no group has it, or a trace cannot be read.
    """
    every = metered(groups, "reading curves", " curves")
    found = {group.label: each for group in every if (each := _band(group, metric, against)) is not None}
    if not found:
        raise SetupFault(f"none of these runs has {metric}")
    for group in groups:
        if group.label not in found:
            note(f"{group.label} has no {metric}")
    for labels in equal({label: values for label, (_, values, _) in found.items()}):
        note(f"these curves are equal: {'; '.join(labels)}")
    if len(found) > _MANY:
        note(f"{len(found)} curves in one figure; --by seed (or another key) makes one of several")
    return found


def _band(group: Group, metric: str, against: str) -> Band | None:
    """Return the band of a group; None if one of its runs has no such metric."""
    read = [audits(run.folder) for run in group.runs]
    columns = [each.values(metric) for each in read]
    if any(np.isnan(column).all() for column in columns):
        return None
    rounds = [each.axes["round"] for each in read]
    _, values = measured(group.runs, rounds, columns)
    _, at = aligned(group.runs, rounds, [each.axes[against].astype(np.float64) for each in read])
    return at.mean(axis=0), values, group.diverged


def _as_label(name: str) -> str:
    """Return the name as Matplotlib shows it: `$` begins no formula, and a label with `_` in front is not hidden."""
    name = plain(printable(name)).replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name
