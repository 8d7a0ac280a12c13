"""Curves over seeds: the mean, and the range of the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.reports.curves import figure

_ABOVE = 30.0  # values up to so many times the largest starting value are shown

Band = tuple[NDArray[np.float64], NDArray[np.float64]]  # the axis (A,), and the values of every seed (seeds, A)


def draw_bands(
    bands: Mapping[str, Band], out: Sequence[Path], title: str, metric: str, against: str, scale: str
) -> None:
    """Draw a line for each label, the mean over the seeds, in a band from the smallest to the largest.

    The line ends when a seed is at infinity; values far above all starting points are cut off.

    Raises:
        Fault: as `curves.figure`.
    """
    with figure(out, metric, against, scale, title) as axes:
        for label, (at, values) in bands.items():
            shown = np.isfinite(values).all(axis=0)
            at, values = at[shown], values[:, shown]
            (line,) = axes.plot(at, values.mean(axis=0), label=label, linewidth=1.3)
            axes.fill_between(
                at, values.min(axis=0), values.max(axis=0), alpha=0.2, color=line.get_color(), linewidth=0
            )
        if scale == "log":
            start = max(float(values[:, 0].max()) for _, values in bands.values())
            axes.set_ylim(top=min(axes.get_ylim()[1], _ABOVE * start))
