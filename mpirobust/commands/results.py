"""Runs that are there, finished or not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from mpirobust.commands.options import PATH, examples
from mpirobust.errors import Exit, SetupFault
from mpirobust.terminal import note, show
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


@click.command(epilog=examples("mpirobust report runs", "mpirobust report runs/a runs/b --metric loss --out loss.pdf"))
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, help="A table (.csv) or a figure (.png, .pdf or .svg).")
@click.option(
    "--metric", type=click.Choice(get_args(Audited)), default="loss", show_default=True, help="What a figure shows."
)
@click.option(
    *("--against",),
    type=click.Choice(["round", "bytes", "seconds"]),
    default="round",
    show_default=True,
    help="The horizontal axis of a figure.",
)
def report(paths: tuple[Path, ...], out: Path | None, metric: str, against: str) -> int:
    """Print a line, or draw a curve, for each run at PATHS.

    A figure as --out has the curves. What is not done is named. A folder that holds no run stands for those in it: the
    tasks of a job array, say.
    """
    from mpirobust.files import write_csv
    from mpirobust.reports import curves, run_table

    folders = run_table.folders(paths)
    if out is not None and out.suffix != ".csv":
        curves.draw(run_table.with_trace(folders), out, metric, against)
        return Exit.OK
    runs = run_table.rows(folders)
    show(run_table.as_text(runs))
    if out is not None:
        write_csv(out, run_table.table(runs))
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
