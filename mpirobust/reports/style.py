"""The style of figures: one column or one page of a paper wide, legible at 8 pt, and told apart without colour."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMN, PAGE = 3.3, 6.9  # inches
DPI = 300
POINTS = 8
MAP = "cividis"  # its lightness is monotone, also for those who cannot tell red from green

# Okabe and Ito (2008), without the yellow, which is too light for a line on white.
_COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.2), (1, 1), (6, 1.2, 1, 1.2))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_MARKS = 5  # on a curve


def applied() -> AbstractContextManager[None]:
    """Return a context in which matplotlib has one size of text, and fonts that stay text in a PDF."""
    from matplotlib import rc_context

    size = {f"{what}.labelsize": POINTS for what in ("axes", "xtick", "ytick")}
    lines = {"lines.markersize": 3.5, "axes.linewidth": 0.6, "grid.linewidth": 0.4, "grid.alpha": 0.4}
    legend = {"legend.fontsize": POINTS, "legend.handlelength": 3.2, "legend.frameon": False}
    title = {"axes.titlesize": POINTS, "figure.titlesize": POINTS}
    fonts: dict[str, Any] = {"font.size": POINTS, "pdf.fonttype": 42, "ps.fonttype": 42}
    every: Any = fonts | size | lines | legend | title  # of text, where the library declares the names one by one
    return rc_context(every)


def line(number: int, count: int, at: NDArray[Any], log: bool) -> dict[str, Any]:
    """Return the look of the curve `number` of `count` over `at`, the ascending places of its points, shape (A,).

    Curves differ in hue, dashes and marker. Where they coincide, the markers of all are seen, because each has its own
    places, and the first curves stand out below the later, which are thinner.
    """
    look: dict[str, Any] = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}
    dashes = _DASHES[number % len(_DASHES)]
    look["linestyle"] = (1.5 * number, dashes) if dashes else "-"
    look["linewidth"] = 2.0 - 1.0 * number / max(1, count - 1)
    look["markevery"] = _places(at, (np.arange(_MARKS) + (number + 0.5) / count) / _MARKS, log)
    return look


def guide(number: int) -> dict[str, Any]:
    """Return the look of a line of reference: thin and grey, below the curves."""
    dashes = ((1, 2), (5, 2), (9, 3))[number % 3]
    return {"color": "0.45", "linewidth": 0.8, "linestyle": (0, dashes), "zorder": 1}


def fills(count: int) -> list[tuple[float, float, float, float]]:
    """Return so many colours for areas, monotone in lightness."""
    from matplotlib import colormaps

    return [tuple(each) for each in colormaps[MAP](np.linspace(0.05, 1, count))]


def _places(at: NDArray[Any], shares: NDArray[np.float64], log: bool) -> list[int]:
    """Return the points that are next to these shares of the axis."""
    if not at.size:
        return []
    scaled = np.log(at) if log else np.asarray(at, dtype=np.float64)
    wanted = scaled[0] + shares * (scaled[-1] - scaled[0])
    return sorted({int(np.abs(scaled - each).argmin()) for each in wanted})
