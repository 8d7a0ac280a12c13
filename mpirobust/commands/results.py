"""Runs that are there, finished or not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from mpirobust.commands.options import PATH
from mpirobust.errors import Exit, SetupFault
from mpirobust.terminal import note, show
from mpirobust.types import Audited


@click.command()
@click.argument("path", type=PATH)
@click.option("--json", "in_json", is_flag=True, help="Machine-readable.")
@click.option("--status", "only_status", is_flag=True, help="One word, for scripts.")
def inspect(path: Path, in_json: bool, only_status: bool) -> int:
    """The summary of the run at PATH (a run.h5 or its folder), finished or not."""
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


@click.command()
@click.argument("path", type=PATH)
@click.option("--to", type=click.Choice(["npz", "pt"]), default="npz", show_default=True)
@click.option("--out", type=PATH, help="The file (default: model.npz or model.pt in the folder of the run).")
@click.option("--overwrite", is_flag=True, help="Replace the file.")
def export(path: Path, to: str, out: Path | None, overwrite: bool) -> int:
    """Write the model of the run at PATH (a run.h5 or its folder) for other programs: NumPy or PyTorch."""
    from mpirobust.reports.export import export

    show(f"wrote {export(path, to, out, overwrite)}")
    return Exit.OK


@click.command()
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, help="A table (.csv) or a figure (.png, .pdf or .svg).")
@click.option("--metric", type=click.Choice(get_args(Audited)), default="loss")
@click.option("--against", type=click.Choice(["round", "bytes", "seconds"]), default="round")
def report(paths: tuple[Path, ...], out: Path | None, metric: str, against: str) -> int:
    """A line or, with a figure as --out, a curve for each of the runs at PATHS; what is not done is named.

    A folder that holds no run stands for those in it: the tasks of a job array, say.
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


@click.command()
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, multiple=True, help="A table (.csv) or a figure; repeatable.")
def scaling(paths: tuple[Path, ...], out: tuple[Path, ...]) -> int:
    """Compare runs of one plan on several numbers of ranks: the time of a round, and that nothing else differs.

    A folder that holds no run stands for those in it.
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
