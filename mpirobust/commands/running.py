"""Runs: alone, or on the ranks that mpirun or srun started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mpirobust.commands import job
from mpirobust.commands.options import LIMIT, PATH, PATIENCE, PLAN, SET, THREADS, Limit, examples
from mpirobust.errors import Exit, in_file
from mpirobust.terminal import say, show


@click.command(
    epilog=examples(
        "mpirobust run configs/quickstart.toml",
        "mpirun -n 21 mpirobust run configs/quickstart.toml --set attack.kind=alie --out runs/alie",
    )
)
@PLAN
@SET
@click.option("--out", type=PATH, help="Folder for the output (default: runs/<plan>).")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint, if there is one.")
@click.option("--overwrite", is_flag=True, help="Replace the run in the output folder.")
@LIMIT
@PATIENCE
@THREADS
def run(
    plan: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    time_limit: Limit,
    patience: float | None,
    threads: int | None,
) -> int:
    """Run PLAN, alone or under mpirun or srun."""
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    how = {"resume": resume, "overwrite": overwrite, "threads": threads}
    return _carried_out(plan, overrides, out, time_limit, patience, **how)


@click.command(epilog=examples("mpirun -n 5 mpirobust resume runs/quickstart"))
@click.argument("folder", type=PATH)
@SET
@click.option(
    *("--allow-kind", "allowed"),
    metavar="KIND",
    multiple=True,
    help="Import this kind that the plan names: module:Class, or path/to/file.py:Class.",
)
@LIMIT
@PATIENCE
@THREADS
def resume(
    folder: Path,
    overrides: tuple[str, ...],
    allowed: tuple[str, ...],
    time_limit: Limit,
    patience: float | None,
    threads: int | None,
) -> int:
    """Go on with the run in FOLDER, by the plan in its run.h5.

    Alone, or on the ranks that mpirun or srun started, as many as you like.
    """
    out = folder.parent if folder.is_file() else folder
    how = {"resume": True, "allowed": allowed, "threads": threads}
    return _carried_out(None, overrides, out, time_limit, patience, **how)


def _carried_out(
    plan: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    time_limit: Limit,
    patience: float | None,
    **how: Any,
) -> int:
    comm = job.processes()
    from mpirobust.running import experiment
    from mpirobust.running.setup import RunRequest

    ends, limit = time_limit
    request = RunRequest(plan, overrides, out, ends=ends, limit=limit, **how)
    with in_file(plan or out):
        code, folder = experiment.run_in_time(request, comm, patience)
    if comm.is_root:
        from mpirobust.records.layout import TRACE
        from mpirobust.reports.summary import as_text, summary

        show(as_text(summary(folder), folder / TRACE))
        if code == Exit.INTERRUPTED:
            say(f"interrupted: --resume continues, or mpirobust resume {folder}")
        if code == Exit.LOST:
            say("too many workers are lost: --resume continues with all of them")
    return code
