"""The command line: the commands, and how each of them ends."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

import mpirobust
from mpirobust.comm.launch import let_rank_0_speak, speaks
from mpirobust.commands import job
from mpirobust.commands.options import TALK, examples
from mpirobust.errors import Exit, Fault, ReportedFault, WorkerFault
from mpirobust.terminal import bearing_streams, say, show

_COMMANDS = {  # and the place of each in mpirobust.commands, which is imported when it is needed
    "run": "running.run",
    "resume": "running.resume",
    "check": "plans.check",
    "list": "plans.list_kinds",
    "explain": "plans.explain",
    "schema": "plans.schema",
    "new": "plans.new",
    "data": "data.data",
    "inspect": "results.inspect",
    "watch": "results.watch",
    "report": "results.report",
    "export": "results.export",
    "scaling": "results.scaling",
    "figures": "studies.figures",
    "matrix": "studies.matrix",
    "sweep": "sweep.sweep",
    "doctor": "doctor.doctor",
}
_FOR_MANY = ("run", "resume", "figures", "matrix", "sweep", "doctor")  # those that all processes of a job execute
_COMPLETE = "_MPIROBUST_COMPLETE"  # set by a shell that asks how a command line may go on


def _meant(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name[:40], _COMMANDS, 1)
    return f"; did you mean {near[0]!r}?" if near else "; mpirobust --help lists the commands"


class _Commands(click.Group):
    """The commands, in the order in which a user meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            if not ctx.resilient_parsing:  # a shell that completes gets no fault
                ctx.fail(f"No such command {cmd_name!r}{_meant(cmd_name)}")
            return None
        module, name = _COMMANDS[cmd_name].split(".")
        command: click.Command = getattr(import_module(f"mpirobust.commands.{module}"), name)
        for each in [command, *getattr(command, "commands", {}).values()]:
            each.params += [option for option in TALK if option not in each.params]
        return command


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "mpirobust new --out plan.toml", "mpirobust check plan.toml", "mpirun -n 21 mpirobust run plan.toml"
    ),
)
@click.version_option(mpirobust.__version__, prog_name="mpirobust")
@click.pass_context
def cli(context: click.Context) -> None:
    """Distributed training that survives bad workers and low bandwidth."""
    if context.invoked_subcommand not in _FOR_MANY and not speaks():
        context.exit()  # one process answers
    if context.invoked_subcommand is None:
        show(context.get_help())


cli.params += TALK  # they may stand before the command and after it


def main() -> NoReturn:
    """Run the command. A failure is one message, on one rank, and the same exit code on all ranks."""
    if _COMPLETE in os.environ:
        cli.main(prog_name="mpirobust")  # click answers the shell and exits
    with bearing_streams():
        code = _outcome()
        sys.stdout.flush()
        if job.opened is not None:
            job.opened.leave(code)
        sys.exit(code)


def _outcome() -> int:
    code: int
    try:
        code = int(cli.main(standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        code = _say_once(f"{error.format_message()}{_as_key(error)}{_how(error)}")
    except ReportedFault as fault:
        code = fault.code
    except WorkerFault as fault:
        code = _leave(fault.code, f"mpirobust: {_label()}{fault}")
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


def _as_key(error: click.ClickException) -> str:
    """Return how to write an option that does not exist, if it is a key of a plan or one of mpirun; else ''."""
    if not isinstance(error, click.NoSuchOption):
        return ""
    if error.option_name in ("-n", "-np"):
        return " The ranks are started by mpirun -n N mpirobust ..."
    if not error.option_name.startswith("--"):
        return ""
    from mpirobust.guide.pages import keys_called

    found = keys_called(error.option_name.lstrip("-"))
    return f" A key of the plan is changed by --set {found[0]}=..." if found else ""


def _how(error: click.ClickException) -> str:
    """Return where to read what a command takes, if something is missing; else ''."""
    if not isinstance(error, click.MissingParameter) or error.ctx is None:
        return ""
    return f" {error.ctx.command_path} --help says more"


def _label() -> str:
    return job.opened.label if job.opened is not None else ""


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
    if job.opened is not None and job.opened.size > 1:
        job.opened.abort(code)
        os._exit(code)
    return code
