"""Plans: checked, explained, and new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mpirobust.commands import completion
from mpirobust.commands.options import PATH, PLAN, SET, examples
from mpirobust.errors import Exit, SetupFault
from mpirobust.files import write_text
from mpirobust.terminal import show


@click.command(epilog=examples("mpirobust check configs/quickstart.toml --set attack.alpha=0.2"))
@PLAN
@SET
def check(plan: Path, overrides: tuple[str, ...]) -> int:
    """Validate PLAN and say what would run; needs no MPI."""
    from mpirobust.reports.forecast import forecast

    show(forecast(plan, overrides))
    return Exit.OK


@click.command("list", epilog=examples("mpirobust list aggregator"))
@click.argument("table", required=False, shell_complete=completion.tables)
def list_kinds(table: str | None) -> int:
    """List the kinds of all tables, or of one, with their keys."""
    from mpirobust.guide.listing import listing

    show(listing(table))
    return Exit.OK


@click.command(epilog=examples("mpirobust explain algorithm.cubic-newton"))
@click.argument("name", required=False, shell_complete=completion.names)
def explain(name: str | None) -> int:
    """Explain a table, a kind or a key of plans."""
    from mpirobust.guide import pages

    show(pages.explain(name))
    return Exit.OK


@click.command(epilog=examples("mpirobust schema > plan.schema.json"))
def schema() -> int:
    """Print the JSON schema of plans, for editors."""
    import json

    from mpirobust.guide.schema import schema

    show(json.dumps(schema(), indent=1, ensure_ascii=False))
    return Exit.OK


def _kind(table: str, help: str) -> Callable[[Any], Any]:
    """Return the option that chooses the kind of a table."""
    return click.option(f"--{table}", metavar="KIND", shell_complete=completion.kinds_of(table), help=help)


@click.command(epilog=examples("mpirobust new --problem logistic --algorithm cubic-newton --out plan.toml"))
@_kind("problem", "The loss (default: least-squares).")
@_kind("algorithm", "The method (default: first-order).")
@_kind("data", "The rows (default: some that fit the problem).")
@_kind("compressor", "The code of what workers send (default: l1-qsgd).")
@_kind("downlink", "The code of what the center sends (default: none).")
@_kind("aggregator", "The rule (default: norm-trim).")
@_kind("attack", "What Byzantine workers do (default: all are honest).")
@_kind("feedback", "What is done with what compression leaves out (default: none).")
@SET
@click.option("--out", type=PATH, help="A new file for the plan (default: standard output).")
def new(overrides: tuple[str, ...], out: Path | None, **kinds: str | None) -> int:
    """Write a commented plan of the given kinds."""
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
