"""A family of runs from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from mpirobust.commands import job
from mpirobust.commands.options import LIMIT, PATH, PLAN, SET, Limit, examples
from mpirobust.commands.studies import told
from mpirobust.errors import Exit
from mpirobust.reports.metrics import Metric


@click.command(epilog=examples("mpirobust sweep configs/quickstart.toml --over attack.alpha=0.05,0.1 --over seed=0..4"))
@PLAN
@click.option(
    "--over",
    metavar="KEY=VALUES",
    multiple=True,
    required=True,
    help="Values of a key: 0.1,0.2 or 0..19 or 1e-3..1:log4 (four numbers); repeatable: the points are the product.",
)
@SET
@click.option("--best", type=click.Choice(get_args(Metric)), default="loss", show_default=True, help="Compare by this.")
@click.option("--out", type=PATH, help="Folder for tables and picture (default: figures/<plan>-<keys>).")
@click.option("--runs", type=PATH, default=Path("runs/studies"), show_default=True, help="Folder for the runs.")
@click.option(
    *("--ranks-per-run", "size"),
    type=click.IntRange(min=1),
    help="Under mpirun, this many ranks for each of the runs side by side (default: as few as keep all busy).",
)
@click.option("--points", type=PATH, help="Run nothing; write the points into this file, for jobs/array.sbatch.")
@LIMIT
def sweep(
    plan: Path,
    over: tuple[str, ...],
    overrides: tuple[str, ...],
    best: str,
    out: Path | None,
    runs: Path,
    size: int | None,
    points: Path | None,
    time_limit: Limit,
) -> int:
    """Run PLAN for all combinations of some values.

    Alone, or side by side under mpirun. Writes a table and a picture, over the seeds, and names the best point.
    What is in the folder --runs already is not run again.
    """
    comm = job.processes()
    from mpirobust.studies import sweep as study

    request = study.SweepRequest(plan, over, overrides, best, out, runs, size, *time_limit)
    if points is not None:
        comm.all_or_fail(lambda: study.write_points(request, points) if comm.is_root else None)
        return Exit.OK
    return told(study.sweep(request, comm))
