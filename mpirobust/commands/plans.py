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
    """List the kinds of all tables, or of one, with their keys."""
    from mpirobust.guide.listing import listing

    show(listing(table))
    return Exit.OK


@click.command()
@click.argument("name", required=False)
def explain(name: str | None) -> int:
    """Explain a table, a kind or a key of plans.

    \b
    Example:
      mpirobust explain algorithm.cubic-newton
    """
    from mpirobust.guide import pages

    show(pages.explain(name))
    return Exit.OK


@click.command()
def schema() -> int:
    """Print the JSON schema of plans, for editors.

    \b
    Example:
      mpirobust schema > plan.schema.json
    """
    import json

    from mpirobust.guide.schema import schema

    show(json.dumps(schema(), indent=1, ensure_ascii=False))
    return Exit.OK
