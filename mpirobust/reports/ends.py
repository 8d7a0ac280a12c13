"""Values at the end of runs against a key of their plans: the mean over seeds, and their range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.reports import style
from mpirobust.reports.curves import figure

_WIDE = 30.0  # the ratio of the largest and the smallest value from which on an axis is logarithmic

# The key, ascending, shape (A,), and for each of its values the means, the smallest and the largest, shape (3, A).
Line: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw_ends(lines: Mapping[str, Line], out: Sequence[Path], metric: str, key: str, title: str) -> None:
    """Draw for each label a line, the means, in a band from the smallest to the largest value; raises as `figure`."""
    with figure(out, metric, key, title) as (axes,):
        across = scale([at for at, _ in lines.values()])
        axes.set_xscale(across)
        axes.set_yscale(scale([values for _, values in lines.values()]))
        for number, (label, (at, (mean, low, high))) in enumerate(lines.items()):
            look = style.line(number, len(lines), at, across == "log")
            axes.plot(at, mean, label=label, **{**look, "markevery": None})
            axes.fill_between(at, low, high, alpha=0.15, color=look["color"], linewidth=0)


def scale(values: Sequence[NDArray[np.float64]]) -> str:
    """Return the scale of an axis that suits the values: `log` if they are positive and wide apart, else `linear`."""
    found = np.concatenate([each.ravel() for each in values])
    found = found[np.isfinite(found)]
    return "log" if found.size and found.min() > 0 and found.max() > _WIDE * found.min() else "linear"
