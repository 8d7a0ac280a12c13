"""Data sets."""

from __future__ import annotations

from pathlib import Path

import click

from mpirobust.commands.options import PATH, PLAN, SET, examples
from mpirobust.errors import DataFault, Exit
from mpirobust.terminal import show

_OF_PLAN = "PLAN"  # the name of the command that a plan in its place stands for


class _PlanOrCommand(click.Group):
    """A group of commands, in which the path of a plan is a command as well."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            if not (args[0].startswith("-") or Path(args[0]).suffix or Path(args[0]).exists()):
                names = ", ".join(name for name in self.commands if name != _OF_PLAN)
                ctx.fail(f"no command and no plan {args[0]!r}; the commands are: {names}")
            args = [_OF_PLAN, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_PlanOrCommand, epilog=examples("mpirobust data fetch a9a", "mpirobust data configs/a9a-robust.toml"))
def data() -> None:
    """Fetch data sets, prepare files, show what is in them."""


@data.command(_OF_PLAN, epilog=examples("mpirobust data configs/a9a-robust.toml --set data.path=libsvm/w8a"))
@PLAN
@SET
def of_plan(plan: Path, overrides: tuple[str, ...]) -> int:
    """Prepare the data of a plan: parse once, store as HDF5."""
    from mpirobust.reports.data_sets import prepared_of_plan

    show("\n".join(prepared_of_plan(plan, overrides)))
    return Exit.OK


@data.command("list", epilog=examples("mpirobust data list mnist"))
@click.argument("name", required=False)
def list_sets(name: str | None) -> int:
    """List the data sets that can be fetched, or one NAME in full."""
    from mpirobust.reports.data_sets import entry, listing

    show(entry(name) if name else listing())
    return Exit.OK


@data.command(epilog=examples("mpirobust data fetch a9a mnist"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--from", "mirror", metavar="URL", help="Try this folder on the web first.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there and not the right ones.")
def fetch(names: tuple[str, ...], mirror: str | None, overwrite: bool) -> int:
    """Download data sets to where plans look.

    That is below $MPIROBUST_DATA or, if it is not set, in the cache. What is there already is not downloaded again, and
    a download that broke off is continued. Printed are the lines of a plan that use the data.
    """
    from mpirobust.data import fetching
    from mpirobust.data.catalogue import lines_of_plan
    from mpirobust.data.sources.base import Places

    places = Places.for_plan(Path())
    faults = []
    for wanted in [fetching.data_set(name) for name in names]:
        try:
            fetching.fetch(wanted, places, mirror, overwrite)
        except DataFault as fault:  # the others may be had, and are
            faults.append(str(fault))
        else:
            show(lines_of_plan(wanted.table()))
    if faults:
        raise DataFault("\n".join(faults))
    return Exit.OK


_KIND = click.option("--kind", help="The kind of the file, as in [data] (default: found by its content).")


@data.command(epilog=examples("mpirobust data prepare measured.csv --set data.label=class"))
@click.argument("path", type=PATH)
@_KIND
@SET
def prepare(path: Path, kind: str | None, overrides: tuple[str, ...]) -> int:
    """Parse the file of data at PATH once and store it as HDF5.

    LIBSVM text, CSV, npz, npy, or a folder with the four files of MNIST, packed or not. Printed are the stores, the
    sizes, and the lines of a plan that use the file.
    """
    from mpirobust.reports.data_sets import prepared_file

    show("\n".join(prepared_file(path, kind, overrides)))
    return Exit.OK


@data.command("show", epilog=examples("mpirobust data show libsvm/a9a"))
@click.argument("path", type=PATH)
@_KIND
@SET
def show_contents(path: Path, kind: str | None, overrides: tuple[str, ...]) -> int:
    """Show what is in a store or a file of data: rows, labels, zeros."""
    from mpirobust.reports.data_sets import contents

    show(contents(path, kind, overrides))
    return Exit.OK
