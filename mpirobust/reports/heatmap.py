"""Tables as colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.reports.curves import LABELS, canvas


def draw_heatmaps(
    tables: Mapping[str, NDArray[np.float64]],
    rows: Sequence[str],
    columns: Sequence[str],
    out: Sequence[Path],
    title: str,
    metric: str,
    start: float,
) -> None:
    """The tables (rows, columns), two in a row, on one logarithmic scale that ends at `start`.

    Values above `start` are black. The last row, the worst case of the others, is separated from them.

    Raises:
        Fault: as `curves.canvas`.
    """
    down = (len(tables) + 1) // 2
    inches = (4.2 + min(2, len(tables)) * 0.42 * len(columns), 1.5 + down * (2.6 + 0.24 * len(rows)))
    with canvas(out, inches, (down, min(2, len(tables))), dpi=100) as (drawing, panels):
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm

        positive = np.concatenate([table[table > 0] for table in tables.values()])
        scale = LogNorm(min(positive.min(initial=start), start / 10), start)
        colours = colormaps["RdYlGn_r"].with_extremes(over="black")
        for panel in panels[len(tables) :]:
            panel.set_axis_off()
        for panel, (name, table) in zip(panels, tables.items(), strict=False):
            image = panel.imshow(table, norm=scale, cmap=colours, aspect="auto")
            panel.set_title(name, fontsize="medium")
            panel.set_xticks(range(len(columns)), columns, rotation=90, fontsize="small")
            panel.set_yticks(range(len(rows)), rows, fontsize="small")
            panel.axhline(len(rows) - 1.5, color="white", linewidth=3)
            for (row, column), value in np.ndenumerate(table):
                colour = "white" if value > start else "black"
                panel.text(column, row, _short(float(value)), ha="center", va="center", fontsize=6, color=colour)
        drawing.suptitle(title, fontsize="large")
        drawing.colorbar(image, ax=list(panels), label=LABELS[metric], fraction=0.03, extend="max")


def _short(value: float) -> str:
    """Return the value as text of at most five characters."""
    if value == np.inf:
        return "∞"
    if 0.001 <= value < 1000:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
