"""What a plan means, and what it can say."""

from __future__ import annotations

from pathlib import Path

import click

from mpirobust.commands.options import PATH, PLAN, SET
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import write_text
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


@click.command()
@click.option("--problem", metavar="KIND", help="The loss (default: least-squares).")
@click.option("--algorithm", metavar="KIND", help="The method (default: first-order).")
@click.option("--data", metavar="KIND", help="The rows (default: some that fit the problem).")
@click.option("--compressor", metavar="KIND", help="The code of what workers send (default: l1-qsgd).")
@click.option("--downlink", metavar="KIND", help="The code of what the center sends (default: none).")
@click.option("--aggregator", metavar="KIND", help="The rule (default: norm-trim).")
@click.option("--attack", metavar="KIND", help="What Byzantine workers do (default: all are honest).")
@click.option("--feedback", metavar="KIND", help="What is done with what compression leaves out (default: none).")
@SET
@click.option("--out", type=PATH, help="A new file for the plan (default: standard output).")
def new(overrides: tuple[str, ...], out: Path | None, **kinds: str | None) -> int:
    """Write a commented plan of the given kinds.

    \b
    Example:
      mpirobust new --problem logistic --algorithm cubic-newton --out plan.toml
    """
    from mpirobust.guide.draft import draft

    chosen = {table: kind for table, kind in kinds.items() if kind is not None}
    text = draft(chosen, overrides, Path() if out is None else out.parent)
    if out is None:
        show(text.rstrip())
        return Exit.OK
    if out.exists():
        raise SetupFault(f"{out} exists already; choose another --out")
    write_text(out, text)
    show(f"wrote {out}")
    return Exit.OK
