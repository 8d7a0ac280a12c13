"""Writes the page of results, and the figures for print beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mpirobust.errors import SetupFault
from mpirobust.files import expect_writable, write_whole
from mpirobust.meter import metered
from mpirobust.reports import overlay
from mpirobust.reports.curves import expect_drawable
from mpirobust.reports.groups import Group
from mpirobust.reports.page.content import metrics_of, read
from mpirobust.reports.page.html import page
from mpirobust.terminal import note


def write(
    groups: Sequence[Group], out: Path, against: str, title: str, left_out: Sequence[str], kinds: Sequence[str]
) -> list[Path]:
    """Write the page of the groups to `out` and its figures beside it; return the paths of all.

    Args:
        kinds: of the figures for print, such as `pdf`; without matplotlib there are none, and a note says so.

    Raises:
        Fault: of a trace or a file.
    """
    expect_writable(out.parent)
    curves = read(groups)
    prints = {metric: [out.with_name(f"{out.stem}-{metric}.{kind}") for kind in kinds] for metric in metrics_of(curves)}
    prints = prints if _can_draw([path for paths in prints.values() for path in paths]) else {}
    for metric, paths in metered(prints.items(), "drawing figures for print", " figures"):
        bands = {curve.label: curve.band(metric, against) for curve in curves if metric in curve.values}
        overlay.draw(bands, paths, metric, against, title)
    written = [path for paths in prints.values() for path in paths]
    said = page(curves, title, against, [path.name for path in written], left_out)

    def fill(scratch: Path) -> None:
        scratch.write_text(said, encoding="utf-8", errors="backslashreplace")

    write_whole(out, fill)
    return [out, *written]


def _can_draw(paths: Sequence[Path]) -> bool:
    try:
        expect_drawable(paths)
    except SetupFault as fault:
        note(f"no figures for print: {fault}")
        return False
    return True
