"""The comparison of runs: a table, and the files that were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpirobust.errors import SetupFault
from mpirobust.files import write_csv
from mpirobust.reports import group_table, overlay, run_table
from mpirobust.reports.curves import KINDS, expect_drawable
from mpirobust.reports.groups import Group, grouped
from mpirobust.reports.page import write as pages
from mpirobust.reports.run_table import RunRow

_PAGE, _TABLE = (".html", ".htm"), ".csv"


@dataclass(frozen=True)
class Request:
    """A request to compare runs.

    Attributes:
        by: keys over which runs are averaged.
        metric, against, scale: of a figure; None for a scale that suits the values.
        labels: of the curves, in order; none for those made from the plans.
        title: '' for none, and for a page that of its runs.
        kinds: of the figures for print beside a page; `none` for none.
    """

    by: Sequence[str] = ()
    metric: str = "loss"
    against: str = "round"
    scale: str | None = None
    labels: Sequence[str] = ()
    title: str = ""
    kinds: Sequence[str] = ("pdf",)


def compare(runs: Sequence[RunRow], out: Sequence[Path], request: Request) -> Iterator[str]:
    """Yield the table of `runs`, then a line for each file of `out` that has been written.

    Raises:
        SetupFault: a file is neither a page, a table nor a figure; no run has a trace; or of the grouping.
        Fault: of a trace or a file.
    """
    _expect_kinds(out)
    known = [run for run in runs if run.plan]
    groups = grouped(known, request.by, request.labels) if known else []
    yield run_table.as_text(runs) if not request.by else f"{group_table.as_text(groups)}\n{run_table.ending(runs)}"
    if not groups and any(path.suffix.lower() != _TABLE for path in out):
        raise SetupFault(f"no run at {runs[0].folder}")
    for path in out:
        for written in _write(runs, groups, path, request):
            yield f"wrote {written}"


def _expect_kinds(out: Sequence[Path]) -> None:
    for path in out:
        if path.suffix.lower() not in (*_PAGE, _TABLE, *(f".{kind}" for kind in KINDS)):
            figures = f"{', '.join(f'.{kind}' for kind in KINDS[:-1])} or .{KINDS[-1]}"
            raise SetupFault(
                f"{path}: unknown kind of file; choose .html (a page), .csv (a table), {figures} (a figure)"
            )
    expect_drawable([path for path in out if path.suffix.lower() not in (*_PAGE, _TABLE)])


def _write(runs: Sequence[RunRow], groups: Sequence[Group], path: Path, request: Request) -> list[Path]:
    kind = path.suffix.lower()
    if kind in _PAGE:
        late = [run.unfinished() for run in runs if not run.plan]
        title = request.title or f"Results of {_common_name([run.folder for group in groups for run in group.runs])}"
        kinds = [each for each in request.kinds if each in KINDS]
        return pages.write(groups, path, request.against, title, late, kinds)
    if kind == _TABLE:
        write_csv(path, group_table.table(groups) if request.by else run_table.table(runs))
    else:
        bands = overlay.bands_of(groups, request.metric, request.against)
        overlay.draw(bands, [path], request.metric, request.against, request.title, request.scale or "")
    return [path]


def _common_name(folders: Sequence[Path]) -> str:
    """Return the name of the folder, or of the innermost that has all of them in it."""
    return Path(os.path.commonpath([folder.absolute() for folder in folders])).name or "runs"
