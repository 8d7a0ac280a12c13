"""Data sets."""

from __future__ import annotations

from pathlib import Path

import click

from mpirobust.commands.options import PLAN, SET, examples
from mpirobust.errors import Exit
from mpirobust.terminal import show


@click.command(epilog=examples("mpirobust data configs/a9a-robust.toml"))
@PLAN
@SET
def data(plan: Path, overrides: tuple[str, ...]) -> int:
    """Prepare the data of PLAN, and print the stores.

    The files are parsed once, and stored as HDF5.
    """
    from mpirobust.reports.forecast import prepared

    show("\n".join(prepared(plan, overrides)))
    return Exit.OK
