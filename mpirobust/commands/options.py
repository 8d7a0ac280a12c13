"""The options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from mpirobust.comm.launch import speaks
from mpirobust.commands import completion, job
from mpirobust.files import expanded
from mpirobust.terminal import log_to, speak


class AnyPath(click.Path):
    """A path, also one that no shell has seen: in `--out=~/x` most leave the `~`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            return expanded(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


PATH = AnyPath()
PLAN = click.argument("plan", type=PATH)
SET = click.option(
    *("--set", "overrides"),
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completion.assignments,
    help="Override a key of the plan; repeatable.",
)


def examples(*lines: str) -> str:
    """Return the epilog of a command: command lines with which its `--help` ends."""
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


class Limit(NamedTuple):
    """The time at which the job must have ended, if at all, and where it comes from."""

    ends: float | None
    origin: str


def _limit_of(limit: str | None) -> Limit:
    from mpirobust.time_limit import end_of, origin_of

    try:
        return Limit(end_of(limit), origin_of(limit))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


LIMIT = click.option(
    "--time-limit",
    metavar="TIME",
    callback=lambda _, __, limit: _limit_of(limit),
    help="Save and end within 4h, 30m, 90s or HH:MM:SS; none: never (default: the limit of the SLURM job, if any).",
)


def _seconds(limit: str | None) -> float | None:
    from mpirobust.time_limit import seconds

    try:
        return None if limit is None else seconds(limit)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


PATIENCE = click.option(
    *("--round-timeout", "patience"),
    metavar="TIME",
    callback=lambda _, __, limit: _seconds(limit),
    help="End the job if a round, with its audit and checkpoint, takes longer: a rank hangs (default: never).",
)

THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of a rank, for whole workers (default: its share of the cores; 1 if its workers have little work).",
)


def _log_to(_: click.Context, __: click.Parameter, path: Path | None) -> None:
    if path is None or not (why := log_to(path)):
        return
    if not job.is_one_of_many():
        raise click.BadParameter(why)
    if speaks():  # on another host the folder may not be there
        job.refusals.append(f"--log: {why}")


def _louder(change: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    return lambda _, __, given: speak(change) if given else None


TALK = [  # the options of every command
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_louder(1),
        help="Say also what is read and written.",
    ),
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_louder(-1),
        help="Say only what fails, and the answer.",
    ),
    click.Option(
        ["--log"],
        type=PATH,
        expose_value=False,
        callback=_log_to,
        help="Append all messages, with the time, to this file.",
    ),
]
