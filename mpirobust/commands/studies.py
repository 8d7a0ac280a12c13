"""Many runs in one job."""

from __future__ import annotations

from pathlib import Path

import click

from mpirobust.commands import job
from mpirobust.commands.options import LIMIT, PATH, SET, Limit, examples
from mpirobust.errors import Exit
from mpirobust.terminal import say


@click.command(epilog=examples("mpirun -n 21 mpirobust figures p1 --seeds 3"))
@click.argument("name")
@click.option("--seeds", type=click.IntRange(min=1), help="Use only so many seeds of each figure.")
@click.option("--out", type=PATH, help="Folder for the figures (default: figures/NAME).")
@click.option("--runs", type=PATH, default=Path("runs/studies"), show_default=True, help="Folder for the runs.")
@SET
@click.option("--check", is_flag=True, help="Compare the tables in --out with the runs in --runs; nothing is run.")
@click.option("--run-missing", is_flag=True, help="With --check: run what is missing first.")
@LIMIT
def figures(
    name: str,
    seeds: int | None,
    out: Path | None,
    runs: Path,
    overrides: tuple[str, ...],
    check: bool,
    run_missing: bool,
    time_limit: Limit,
) -> int:
    """Run and draw the figures of a paper.

    NAME is a folder of families, or p1 for configs/p1. Alone or under mpirun. What is in the folder --runs already is
    not run again.
    """
    if run_missing and not check:
        raise click.UsageError("--run-missing is for --check; without it, what is missing is always run")
    comm = job.processes()
    from mpirobust.studies import comparison
    from mpirobust.studies import figures as study
    from mpirobust.studies.campaign import StudyRequest
    from mpirobust.studies.family import locate

    folder = comm.all_or_fail(lambda: locate(name))
    request = StudyRequest(out or Path("figures") / folder.name, runs, seeds, overrides, *time_limit)
    return told(
        comparison.compare(folder, request, comm, run_missing) if check else study.figures(folder, request, comm)
    )


@click.command(epilog=examples("mpirun -n 21 mpirobust matrix configs/p1/robustness.toml --seeds 1"))
@click.argument("path", type=PATH)
@click.option("--seeds", type=click.IntRange(min=1), help="Use only so many seeds.")
@click.option("--tune", is_flag=True, help="First choose the values of each rule, by its own worst attack.")
@click.option("--out", type=PATH, help="Folder for picture and tables (default: figures/<name>).")
@click.option("--runs", type=PATH, default=Path("runs/studies"), show_default=True, help="Folder for the runs.")
@SET
@LIMIT
def matrix(
    path: Path,
    seeds: int | None,
    tune: bool,
    out: Path | None,
    runs: Path,
    overrides: tuple[str, ...],
    time_limit: Limit,
) -> int:
    """Run and draw every attack against every rule.

    PATH is a file that names them, and the codes. Alone or under mpirun: runs go side by side, as in a sweep.
    """
    comm = job.processes()
    from mpirobust.studies import matrix as study
    from mpirobust.studies.campaign import StudyRequest

    request = StudyRequest(out or Path("figures") / path.stem, runs, seeds, overrides, *time_limit)
    return told(study.matrix(path, request, comm, tune))


def told(code: int) -> int:
    """Say once how a study goes on that has not come to its end; return its exit code."""
    if code in (Exit.INTERRUPTED, Exit.LOST) and job.processes().is_root:
        why = "interrupted" if code == Exit.INTERRUPTED else "too many ranks or workers are lost"
        say(f"{why}: the same command goes on")
    return code
