"""What a plan means, and what it can say."""

from __future__ import annotations

from pathlib import Path

import click

from mpirobust.commands.options import PLAN, SET
from mpirobust.errors import Exit
from mpirobust.terminal import show


@click.command()
@PLAN
@SET
def check(plan: Path, overrides: tuple[str, ...]) -> int:
    """Validate PLAN and say what would run; needs no MPI."""
    from mpirobust.reports.forecast import forecast

    show(forecast(plan, overrides))
    return Exit.OK


@click.command("list")
@click.argument("table", required=False)
def list_kinds(table: str | None) -> int:
    """Every kind with its fields, of all tables or of one TABLE."""
    from mpirobust.reports.listing import listing

    show(listing(table))
    return Exit.OK
