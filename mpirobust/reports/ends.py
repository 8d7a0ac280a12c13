"""Values at the end of runs against a key of their plans: the mean over seeds, and their range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpirobust.reports import style
from mpirobust.reports.curves import figure
from mpirobust.reports.metrics import SHARES
from mpirobust.reports.scales import scale_of

# The key, ascending, shape (A,), and for each of its values the means, the smallest and the largest, shape (3, A).
Line: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw_ends(lines: Mapping[str, Line], out: Sequence[Path], metric: str, key: str, title: str) -> None:
    """Draw for each label a line, the means, in a band from the smallest to the largest value; raises as `figure`."""
    with figure(out, metric, key, title) as (axes,):
        across = scale_of(np.concatenate([at for at, _ in lines.values()]))
        upward = scale_of(np.concatenate([values.ravel() for _, values in lines.values()]), metric in SHARES)
        axes.set_xscale(across.name, **across.options)
        axes.set_yscale(upward.name, **upward.options)
        for number, (label, (at, (mean, low, high))) in enumerate(lines.items()):
            look = style.line(number, len(lines), at, across.name == "log")
            axes.plot(at, mean, label=label, **{**look, "markevery": None})
            axes.fill_between(at, low, high, alpha=0.15, color=look["color"], linewidth=0)
