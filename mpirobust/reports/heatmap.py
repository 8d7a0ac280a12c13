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
) -> None:
    """One table (rows, columns) beside the other, on one logarithmic scale; infinite entries are black.

    The last row, which sums up the others, stands apart.

    Raises:
        Fault: as `curves.canvas`.
    """
    width = 1.6 + len(tables) * (0.42 * len(columns) + 0.3)
    with canvas(out, (width, 2.2 + 0.26 * len(rows)), panels=len(tables)) as (drawing, panels):
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm

        finite = np.concatenate([table[np.isfinite(table) & (table > 0)] for table in tables.values()])
        scale = LogNorm(finite.min(), finite.max(), clip=False)
        colours = colormaps["RdYlGn_r"].with_extremes(over="black")
        for panel, (name, table) in zip(panels, tables.items(), strict=True):
            image = panel.imshow(table, norm=scale, cmap=colours, aspect="auto")
            panel.set_title(name, fontsize="medium")
            panel.set_xticks(range(len(columns)), columns, rotation=90, fontsize="small")
            panel.set_yticks(range(len(rows)), rows if panel is panels[0] else [""] * len(rows), fontsize="small")
            panel.axhline(len(rows) - 1.5, color="white", linewidth=3)
            for (down, across), value in np.ndenumerate(table):
                text = (
                    f"{value:.2g}" if value < 1000 else "∞" if value == np.inf else f"{value:.0e}".replace("e+0", "e")
                )
                panel.text(across, down, text, ha="center", va="center", fontsize=5.5)
        drawing.suptitle(title, fontsize="medium")
        drawing.colorbar(image, ax=list(panels), label=LABELS[metric], fraction=0.03)


def _short(value: float) -> str:
    if value < 1000:
        return f"{value:.2g}"
    return "∞" if value == np.inf else f"{value:.0e}".replace("e+0", "e")
