"""Data sets."""

from __future__ import annotations

from pathlib import Path

import click

from mpirobust.commands.options import PLAN, SET
from mpirobust.errors import Exit
from mpirobust.terminal import show


@click.command()
@PLAN
@SET
def data(plan: Path, overrides: tuple[str, ...]) -> int:
    """Prepare the data of PLAN (parse once, store as HDF5) and print the stores."""
    from mpirobust.reports.forecast import prepared

    show("\n".join(prepared(plan, overrides)))
    return Exit.OK
