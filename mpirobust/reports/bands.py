"""Curves over seeds: the mean, and the range of the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.reports import style
from mpirobust.reports.curves import figure

_ABOVE = 30.0  # values up to so many times the largest starting value are shown

# The axis (A,), the values of every seed (seeds, A), and how many seeds diverged.
Band = tuple[NDArray[np.float64], NDArray[np.float64], int]


@component
class Guide:
    """A line of reference, proportional to a power of the axis, through the first point of a curve after the start."""

    label: str
    power: float
    through: str


@dataclass(frozen=True)
class Frame:
    """Title and axes of a figure: what is drawn (`metric` against `against`), and both scales.

    Attributes:
        scale: of the metric, `log`, `linear`, or `symlog`, which is linear up to `threshold` on both sides.
        across: of the other axis, `log` or `linear`.
    """

    title: str
    metric: str
    against: str
    scale: str
    across: str = "linear"
    guides: Sequence[Guide] = ()
    threshold: float = 1.0


def draw_bands(panels: Mapping[str, Mapping[str, Band]], out: Sequence[Path], frame: Frame) -> None:
    """Draw the panels: for each label a line, the mean over the seeds, in a band from the smallest to the largest.

    A line ends when a seed is at infinity; values far above all starting points are cut off. All panels have the
    labels of the first one.

    Raises:
        Fault: as `curves.figure`.
    """
    lost = {label: sum(bands[label][2] for bands in panels.values()) for label in next(iter(panels.values()))}
    seeds = {label: sum(len(bands[label][1]) for bands in panels.values()) for label in lost}
    legend = {label: f"{label} ({lost[label]} of {seeds[label]} diverge)" if lost[label] else label for label in lost}
    with figure(out, frame.metric, frame.against, frame.title, list(panels)) as drawn:
        for axes, bands in zip(drawn, panels.values(), strict=True):
            axes.set_xscale(frame.across)
            axes.set_yscale(frame.scale, **({"linthresh": frame.threshold} if frame.scale == "symlog" else {}))
            shown = {label: _shown(band, frame.across == "log") for label, band in bands.items()}
            for number, (label, (at, values)) in enumerate(shown.items()):
                look = style.line(number, len(shown), at, frame.across == "log")
                axes.plot(at, values.mean(axis=0), label=legend[label], **look)
                axes.fill_between(
                    at, values.min(axis=0), values.max(axis=0), alpha=0.15, color=look["color"], linewidth=0
                )
            for number, guide in enumerate(frame.guides):
                _draw_guide(axes, guide, number, *shown[guide.through])
            if frame.scale == "log":
                starts = [float(values[:, 0].max()) for _, values, _ in bands.values()]
                start = max((each for each in starts if np.isfinite(each)), default=np.inf)
                axes.set_ylim(top=min(axes.get_ylim()[1], _ABOVE * start))


def _shown(band: Band, log: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at, values, _ = band
    shown = np.isfinite(values).all(axis=0) & ((at > 0) | (not log))
    return at[shown], values[:, shown]


def _draw_guide(axes: Any, guide: Guide, number: int, at: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    if at.size:
        line = values[:, 0].mean() * (at / at[0]) ** guide.power
        axes.plot(at, line, label=guide.label, **style.guide(number))
