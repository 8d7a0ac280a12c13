"""The pages are complete: kinds, commands, links and counts."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from mpirobust import catalog
from mpirobust.cli import cli
from tests.docs.pages import complete_blocks, text
from tests.support.launching import REPOSITORY

_ROOMS = {**catalog.ROOMS, **catalog.NESTED}
_PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


@pytest.mark.parametrize("table", _ROOMS)
def test_the_page_of_plans_names_every_kind(table: str) -> None:
    page = text("PLANS.md")
    for kind in catalog.kinds(_ROOMS[table]):
        assert f"`{kind}`" in page or f'kind = "{kind}"' in page or f'`"{kind}"`' in page, f"{table}.kind = {kind!r}"


def test_the_readme_names_every_command() -> None:
    table = re.findall(r"^\| `mpirobust (\w+)", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize(
    ("table", "noun"),
    [
        ("compressor", "compressors"),
        ("aggregator", "aggregation rules"),
        ("attack", "attacks"),
        ("feedback", "feedbacks"),
    ],
)
def test_the_changelog_counts_the_kinds(table: str, noun: str) -> None:
    assert f"{len(catalog.kinds(_ROOMS[table]))} {noun}" in (REPOSITORY / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text()):
        linked = (page.parent / target) if target else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in _anchors(linked), f"{page.name}: {target}{anchor}"


@pytest.mark.parametrize("page", ["ADDING.md", "LIBRARY.md", "REDUCER.md", "TORCH.md"])
def test_a_tutorial_is_short(page: str) -> None:
    """What a reader types in. The tests that run these files are in this folder and in tests/mpirun."""
    files = complete_blocks(page)
    assert files
    for name, content in files.items():
        assert sum(bool(line.strip()) for line in content.splitlines()) <= 60, name


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
