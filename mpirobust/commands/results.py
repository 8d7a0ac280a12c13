"""Runs that are there, finished or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from mpirobust.commands.options import PATH, examples
from mpirobust.errors import Exit, SetupFault
from mpirobust.reports.curves import KINDS
from mpirobust.reports.metrics import AXES
from mpirobust.terminal import Screen, note, say, show
from mpirobust.types import Audited


@click.command(epilog=examples("mpirobust inspect runs/quickstart", "mpirobust inspect runs/quickstart --status"))
@click.argument("path", type=PATH)
@click.option("--json", "in_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--status", "only_status", is_flag=True, help="Print one word, for scripts.")
def inspect(path: Path, in_json: bool, only_status: bool) -> int:
    """Summarise the run at PATH, finished or not.

    PATH is a run.h5 or its folder.
    """
    from mpirobust.records.writer import Writer
    from mpirobust.reports.summary import as_json, as_text, said_of_writer, summary

    figures = summary(path)
    if only_status:
        show(figures["status"])
        if figures["writer"] not in (None, Writer.ALIVE):
            note(said_of_writer(figures))
        return Exit.OK
    show(as_json(figures) if in_json else as_text(figures, path))
    return Exit.OK


@click.command(epilog=examples("mpirobust watch runs/quickstart"))
@click.argument("path", type=PATH)
def watch(path: Path) -> int:
    """Follow the run at PATH in the terminal until it ends.

    PATH is a run.h5 or its folder. The view is drawn again in place; where standard output is no terminal, a line is
    printed every few seconds. Ctrl-C ends the view, and the run goes on.
    """
    from mpirobust.reports.watch import watch

    try:
        watch(path, Screen())
    except KeyboardInterrupt:
        say("mpirobust: no longer watching; the run goes on")
        return Exit.ABANDONED
    return Exit.OK


@click.command(epilog=examples("mpirobust export runs/quickstart --out model.npz"))
@click.argument("path", type=PATH)
@click.option("--to", type=click.Choice(["npz", "pt"]), default="npz", show_default=True, help="NumPy or PyTorch.")
@click.option("--out", type=PATH, help="The file (default: model.npz or model.pt in the folder of the run).")
@click.option("--overwrite", is_flag=True, help="Replace the file.")
def export(path: Path, to: str, out: Path | None, overwrite: bool) -> int:
    """Write the model of the run at PATH for other programs.

    PATH is a run.h5 or its folder.
    """
    from mpirobust.reports.export import export

    show(f"wrote {export(path, to, out, overwrite)}")
    return Exit.OK


@click.command(
    epilog=examples(
        "mpirobust report runs/sweep --by seed --out page.html", "mpirobust report runs/a runs/b --out loss.pdf"
    )
)
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, multiple=True, help="A page (.html), a table (.csv) or a figure; repeatable.")
@click.option(
    "--by",
    metavar="KEY",
    multiple=True,
    help="Average the runs that differ in this key only, such as seed; repeatable.",
)
@click.option(
    "--metric", type=click.Choice(get_args(Audited)), default="loss", show_default=True, help="What a figure shows."
)
@click.option(
    "--against", type=click.Choice(AXES), default="round", show_default=True, help="Its other axis, and that of a page."
)
@click.option(
    "--scale", type=click.Choice(["log", "linear", "symlog"]), help="Scale of the metric (default: one that suits it)."
)
@click.option(
    "--label", "labels", metavar="TEXT", multiple=True, help="Names of the curves, in their order; repeatable."
)
@click.option("--title", default="", show_default="its runs", metavar="TEXT", help="Title of the page or the figure.")
@click.option(
    *("--print", "kinds"),
    type=click.Choice([*KINDS, "none"]),
    multiple=True,
    default=["pdf"],
    show_default=True,
    help="Kinds of the figures beside a page; repeatable.",
)
def report(paths: tuple[Path, ...], out: tuple[Path, ...], **shown: Any) -> int:
    """Compare runs: a table, curves, or a page of all results.

    Each of the runs at PATHS is a line of the table and, with a page or a figure as --out, a curve; what is not done is
    named. A folder that holds no run stands for those in it: the tasks of a job array, say.
    """
    from mpirobust.reports import report, run_table

    runs = run_table.rows(run_table.folders(paths))
    request = report.Request(**shown)
    for line in report.compare(runs, out, request):
        show(line)
    return Exit.OK


@click.command(epilog=examples("mpirobust scaling runs/on-1 runs/on-5 runs/on-21 --out scaling.pdf"))
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, multiple=True, help="A table (.csv) or a figure; repeatable.")
def scaling(paths: tuple[Path, ...], out: tuple[Path, ...]) -> int:
    """Compare runs of one plan on several numbers of ranks.

    The time of a round may differ, and nothing else. A folder that holds no run stands for those in it.
    """
    from mpirobust.files import write_csv
    from mpirobust.reports import run_table
    from mpirobust.reports import scaling as comparison
    from mpirobust.reports.curves import expect_drawable

    drawn = [path for path in out if path.suffix != ".csv"]
    expect_drawable(drawn)
    runs = run_table.rows(run_table.folders(paths))
    found = comparison.scaling(runs)
    show(comparison.as_text(found, runs))
    for path in out:
        if path not in drawn:
            write_csv(path, comparison.table(found))
    for path in drawn:
        comparison.draw(found, path)
    if found.apart:
        raise SetupFault(f"the number of ranks must not matter, but {found.apart}: other processors or versions?")
    return Exit.OK
