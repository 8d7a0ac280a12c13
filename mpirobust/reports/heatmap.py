"""Tables as colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpirobust.reports import style
from mpirobust.reports.curves import canvas, drawable
from mpirobust.reports.metrics import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.145  # inches
_FILLED = 0.9  # of its cell is what the widest number takes at most
_DARK = 0.5  # from this share of the scale on, text is white


def draw_heatmaps(
    tables: Mapping[str, NDArray[np.float64]],
    rows: Sequence[str],
    columns: Sequence[str],
    out: Sequence[Path],
    title: str,
    metric: str,
    start: float,
) -> None:
    """Draw the tables (rows, columns), one below the other, a page wide, on one logarithmic scale up to `start`.

    Values above `start` are black, and zeros as light as the smallest positive value. Tables that have a name are of
    attacks: the last row, the worst case of the others, is separated from them.

    Raises:
        Fault: as `curves.canvas`.
    """
    inches = (style.PAGE, 1.3 + len(tables) * (0.4 + _ROW * len(rows)))
    with canvas(out, inches, (len(tables), 1)) as (drawing, panels):
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm

        positive = np.concatenate([table[table > 0] for table in tables.values()])
        least = min(float(positive.min(initial=start)), start / 2)
        scale = LogNorm(least, start)
        colours = colormaps[f"{style.MAP}_r"].with_extremes(over="black", bad="black")  # infinity is bad
        for panel, (name, table) in zip(panels, tables.items(), strict=True):
            shown = np.maximum(table, least)
            image = panel.imshow(shown, norm=scale, cmap=colours, aspect="auto")
            panel.set_title(name)
            panel.set_xticks(range(len(columns)), columns if panel is panels[-1] else [""] * len(columns), rotation=90)
            panel.set_yticks(range(len(rows)), rows)
            if name:
                panel.axhline(len(rows) - 1.5, color="white", linewidth=3)
            shares = scale(shown).filled(np.inf)  # infinity is masked
            for (row, column), value in np.ndenumerate(table):
                colour = "white" if shares[row, column] > _DARK else "black"
                panel.text(column, row, _short(float(value)), ha="center", va="center", color=colour)
        drawing.suptitle(title)
        drawing.colorbar(image, ax=list(panels), label=LABELS[metric], fraction=0.03, extend="max")
        _fit(drawing, panels, len(columns))


def _fit(drawing: Figure, panels: Sequence[Axes], columns: int) -> None:
    """Make the numbers smaller, all alike, if the widest would not fit into its cell."""
    with drawable():
        drawing.draw_without_rendering()  # gives places to the panels
    numbers = [text for panel in panels for text in panel.texts]
    widest = max(text.get_window_extent().width for text in numbers)
    cell = min(panel.get_window_extent().width for panel in panels) / columns
    for text in numbers:
        text.set_fontsize(float(text.get_fontsize()) * min(1.0, _FILLED * cell / widest))


def _short(value: float) -> str:
    """Return the value as text of at most five characters."""
    if value == np.inf:
        return "∞"
    if value == 0 or 0.01 <= value < 1000:
        return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value >= 0.1 else f"{value:.1g}"
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
