"""What a plan means, and what it can say."""

from __future__ import annotations

from pathlib import Path

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


@click.command(epilog=examples("mpirobust new --problem logistic --algorithm cubic-newton --out plan.toml"))
@click.option(
    "--problem",
    metavar="KIND",
    shell_complete=completion.kinds_of("problem"),
    help="The loss (default: least-squares).",
)
@click.option(
    "--algorithm",
    metavar="KIND",
    shell_complete=completion.kinds_of("algorithm"),
    help="The method (default: first-order).",
)
@click.option(
    "--data",
    metavar="KIND",
    shell_complete=completion.kinds_of("data"),
    help="The rows (default: some that fit the problem).",
)
@click.option(
    "--compressor",
    metavar="KIND",
    shell_complete=completion.kinds_of("compressor"),
    help="The code of what workers send (default: l1-qsgd).",
)
@click.option(
    "--downlink",
    metavar="KIND",
    shell_complete=completion.kinds_of("downlink"),
    help="The code of what the center sends (default: none).",
)
@click.option(
    "--aggregator",
    metavar="KIND",
    shell_complete=completion.kinds_of("aggregator"),
    help="The rule (default: norm-trim).",
)
@click.option(
    "--attack",
    metavar="KIND",
    shell_complete=completion.kinds_of("attack"),
    help="What Byzantine workers do (default: all are honest).",
)
@click.option(
    "--feedback",
    metavar="KIND",
    shell_complete=completion.kinds_of("feedback"),
    help="What is done with what compression leaves out (default: none).",
)
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
