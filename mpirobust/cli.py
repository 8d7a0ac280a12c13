"""The command line."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn, get_args

import click

import mpirobust
from mpirobust.comm.communicator import Communicator
from mpirobust.comm.launch import let_rank_0_speak, meet, open_communicator, speaks
from mpirobust.errors import Exit, Fault, PlanFault, ReportedFault, SetupFault, WorkerFault
from mpirobust.options import LIMIT, PATH, PATIENCE, PLAN, SET, THREADS, Limit
from mpirobust.terminal import bearing_streams, note, say, show
from mpirobust.types import Audited

_FOR_MANY = ("run", "resume", "figures", "matrix")  # the commands that all processes of a job execute


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mpirobust.__version__, prog_name="mpirobust")
@click.pass_context
def cli(context: click.Context) -> None:
    """Distributed training that survives bad workers and low bandwidth."""
    if context.invoked_subcommand not in _FOR_MANY and not speaks():
        context.exit()  # one process answers


@cli.command()
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
    """Run PLAN: alone, or on the ranks that mpirun or srun started."""
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    how = {"resume": resume, "overwrite": overwrite, "threads": threads}
    return _carried_out(plan, overrides, out, time_limit, patience, **how)


@cli.command()
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
    """Go on with the run in FOLDER, by the plan in its run.h5: alone, or on the ranks that mpirun or srun started."""
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
    comm = _comm()
    from mpirobust.running import experiment
    from mpirobust.running.setup import RunRequest

    ends, limit = time_limit
    request = RunRequest(plan, overrides, out, ends=ends, limit=limit, **how)
    code, folder = experiment.run_in_time(request, comm, patience)
    if comm.is_root:
        from mpirobust.records.layout import TRACE
        from mpirobust.reports.summary import as_text, summary

        show(as_text(summary(folder), folder / TRACE))
        if code == Exit.INTERRUPTED:
            say("interrupted: --resume continues")
        if code == Exit.LOST:
            say("too many workers are lost: --resume continues with all of them")
    return code


@cli.command()
@PLAN
@SET
def check(plan: Path, overrides: tuple[str, ...]) -> int:
    """Validate PLAN and say what would run; needs no MPI."""
    from mpirobust.reports.forecast import forecast

    show(forecast(plan, overrides))
    return Exit.OK


@cli.command("list")
@click.argument("table", required=False)
def list_kinds(table: str | None) -> int:
    """Every kind with its fields, of all tables or of one TABLE."""
    from mpirobust.reports.listing import listing

    show(listing(table))
    return Exit.OK


@cli.command()
@PLAN
@SET
def data(plan: Path, overrides: tuple[str, ...]) -> int:
    """Prepare the data of PLAN (parse once, store as HDF5) and print the stores."""
    from mpirobust.reports.forecast import prepared

    show("\n".join(prepared(plan, overrides)))
    return Exit.OK


@cli.command()
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


@cli.command()
@click.argument("path", type=PATH)
@click.option("--to", type=click.Choice(["npz", "pt"]), default="npz", show_default=True)
@click.option("--out", type=PATH, help="The file (default: model.npz or model.pt in the folder of the run).")
@click.option("--overwrite", is_flag=True, help="Replace the file.")
def export(path: Path, to: str, out: Path | None, overwrite: bool) -> int:
    """Write the model of the run at PATH (a run.h5 or its folder) for other programs: NumPy or PyTorch."""
    from mpirobust.reports.export import export

    show(f"wrote {export(path, to, out, overwrite)}")
    return Exit.OK


@cli.command()
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


@cli.command()
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


@cli.command()
@click.argument("name")
@click.option("--seeds", type=click.IntRange(min=1), help="Use only so many seeds of each figure.")
@click.option("--out", type=PATH, help="Folder for the figures (default: figures/NAME).")
@click.option("--runs", type=PATH, default=Path("runs/studies"), show_default=True)
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
    """Run and draw the figures of a paper: NAME is a folder of families, or p1 for configs/p1.

    Alone or under mpirun. What is in the folder --runs already is not run again.
    """
    if run_missing and not check:
        raise click.UsageError("--run-missing is for --check; without it, what is missing is always run")
    comm = _comm()
    from mpirobust.studies import comparison
    from mpirobust.studies import figures as study
    from mpirobust.studies.campaign import StudyRequest
    from mpirobust.studies.family import locate

    folder = comm.all_or_fail(lambda: locate(name))
    request = StudyRequest(out or Path("figures") / folder.name, runs, seeds, overrides, *time_limit)
    return _told(
        comparison.compare(folder, request, comm, run_missing) if check else study.figures(folder, request, comm)
    )


@cli.command()
@click.argument("path", type=PATH)
@click.option("--seeds", type=click.IntRange(min=1), help="Use only so many seeds.")
@click.option("--out", type=PATH, help="Folder for picture and table (default: figures/<name>).")
@click.option("--runs", type=PATH, default=Path("runs/studies"), show_default=True)
@SET
@LIMIT
def matrix(
    path: Path, seeds: int | None, out: Path | None, runs: Path, overrides: tuple[str, ...], time_limit: Limit
) -> int:
    """Run and draw every attack against every rule under every code, as the file PATH says; alone or under mpirun."""
    comm = _comm()
    from mpirobust.studies import matrix as study
    from mpirobust.studies.campaign import StudyRequest

    request = StudyRequest(out or Path("figures") / path.stem, runs, seeds, overrides, *time_limit)
    return _told(study.matrix(path, request, comm))


def _told(code: int) -> int:
    if code in (Exit.INTERRUPTED, Exit.LOST) and _comm().is_root:
        why = "interrupted" if code == Exit.INTERRUPTED else "too many workers are lost"
        say(f"{why}: the same command goes on")
    return code


_opened: Communicator | None = None


def _comm() -> Communicator:
    """Return the processes of this job.

    A command calls this before it imports more: a rank failure is detected from then on.
    """
    global _opened
    if _opened is None:
        _opened = open_communicator()
        meet(_opened)
    return _opened


def main() -> NoReturn:
    """Run the command. A failure is one message, on one rank, and the same exit code on all ranks."""
    with bearing_streams():
        code = _outcome()
        sys.stdout.flush()
        if _opened is not None:
            _opened.leave(code)
        sys.exit(code)


def _outcome() -> int:
    code: int
    try:
        code = int(cli.main(standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        code = _say_once(error.format_message())
    except ReportedFault as fault:
        code = fault.code
    except WorkerFault as fault:
        code = _leave(fault.code, f"mpirobust: {_label()}{fault}")
    except PlanFault as fault:
        code = fault.code
        say(f"mpirobust: plan: {fault}")
    except Fault as fault:
        code = fault.code
        say(f"mpirobust: {fault}")
    except (KeyboardInterrupt, click.Abort):
        code = _leave(Exit.ABANDONED, "mpirobust: ended at once; what is saved is the newest checkpoint")
    except MemoryError as error:
        code = _leave(Exit.STORAGE, f"mpirobust: {_label()}not enough memory: {error}")
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else error
        code = _leave(Exit.STORAGE, f"mpirobust: {_label()}{where}")
    except (Exception, SystemExit):  # SystemExit: raised by a kind from outside
        code = _leave(Exit.INTERNAL, f"mpirobust: {_label()}internal error\n{traceback.format_exc()}")
    return code


def _label() -> str:
    return _opened.label if _opened is not None else ""


def _say_once(message: str) -> int:
    """Print a fault of the command line, which all ranks have, on one of them; return the exit code."""
    if speaks():
        say(f"mpirobust: {message}")
    else:
        let_rank_0_speak()
    return Exit.SETUP


def _leave(code: int, message: str) -> int:
    """Print a fault of this rank and end the job: the other ranks would wait for ever. Return the exit code."""
    say(message)
    if _opened is not None and _opened.size > 1:
        _opened.abort(code)
        os._exit(code)
    return code
