"""The additions of `make site` to the pages: navigation, reference, links. The strict build itself is a step of CI."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import pytest

import mpirobust
from mpirobust import catalog
from mpirobust.components import Field, component, is_component
from mpirobust.plan import Plan
from tests.docs.pages import text
from tests.support.launching import REPOSITORY

pytest.importorskip("sphinx", reason="no Sphinx: pip install 'mpirobust[docs]'")
plan_reference, site_links = import_module("plan_reference"), import_module("site_links")

_ROOMS = {**catalog.ROOMS, **catalog.NESTED}
_DOCS = REPOSITORY / "docs"
_PAGES = sorted(str(page.relative_to(_DOCS).with_suffix("")) for page in _DOCS.rglob("*.md"))


def test_every_page_is_in_the_navigation_once() -> None:
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", text("index.md"), re.MULTILINE | re.DOTALL)
    entries = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    assert sorted([*entries, "index"]) == _PAGES


def test_the_reference_has_every_table_of_a_plan() -> None:
    shown = re.findall(r"^```\{(?:kinds|keys)\} (\S+)$", text("KINDS.md"), re.MULTILINE)
    rooms = catalog.inner_rooms(Plan)
    sections = [hint for key, hint in get_type_hints(Plan).items() if is_component(hint) and key not in rooms]
    classes = [f"{cls.__module__}:{cls.__name__}" for cls in (Plan, *sections)]
    assert sorted(shown) == sorted([*_ROOMS, *classes])


@pytest.mark.parametrize("table", _ROOMS)
def test_the_reference_has_every_kind_with_every_key(table: str) -> None:
    room = _ROOMS[table]
    page = plan_reference.kinds_of(table)
    for kind in catalog.kinds(room):
        part = page.split(f"### `{kind}`\n", 1)[1].split("\n### ")[0]
        for each in fields(catalog.load(room, kind, table)):
            assert f"`{each.name}`" in part, f"{table}: {kind}: {each.name}"


@component
class Tuned:
    """A class with keys of every form.

    Attributes:
        level, table: how loud it is, or
            how quiet
        word: one | the other
    """

    level: Annotated[float, Field(gt=0)]
    word: Literal["loud", "low"] = "low"
    share: float | None = None
    often: bool = False
    table: dict[str, int] = Field(default_factory=dict)


def test_a_key_has_its_meaning_its_values_and_its_default() -> None:
    assert plan_reference.keys_of(Tuned).splitlines()[2:] == [
        "| `level` | how loud it is, or how quiet | a finite number greater than 0 | must be given |",
        '| `word` | one \\| the other | `"loud"` or `"low"` | `"low"` |',
        "| `share` |  | a finite number | none |",
        "| `often` |  | true or false | `false` |",
        "| `table` | how loud it is, or how quiet | a table | none |",
    ]


def test_the_page_of_python_has_every_public_name() -> None:
    shown = re.findall(r"^\.\. (?:auto|py:)\w+:: mpirobust\.(\w+)", text("API.md"), re.MULTILINE)
    assert sorted(shown) == sorted(mpirobust.__all__)


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("PLANS.md", "[PLANS.md](PLANS.md)", "[](PLANS.md)"),
        ("PLANS.md", "[RUNNING.md](RUNNING.md#slurm)", "[](RUNNING.md#slurm)"),
        ("p1/README.md", "([PAPER.md](../PAPER.md))", "([](../PAPER.md))"),
        ("PLANS.md", "[another text](RUNNING.md)", "[another text](RUNNING.md)"),
        ("LIBRARY.md", "[CHANGELOG.md](../CHANGELOG.md)", "[](CHANGELOG.md)"),
        ("p1/README.md", "[changes](../../CHANGELOG.md#unreleased)", "[changes](../CHANGELOG.md#unreleased)"),
        ("p1/README.md", "[configs/p1](../../configs/p1).", "configs/p1."),
        ("PLANS.md", "[downlink.csv](../benchmarks/downlink.csv)", "[downlink.csv](../benchmarks/downlink.csv)"),
    ],
)
def test_links_of_the_site(page: str, written: str, shown: str) -> None:
    assert site_links.inside(written, _DOCS / page, _DOCS) == shown


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="b.html#there">', None),
        ('<a href="sub/c.html"><a href="#here"><p id="here">', None),
        ('<a href="https://example.org/"><a href="mailto:a@b">', None),
        ('<img src="a%20b.png">', None),
        ('<a href="gone.html">', "a.html: there is no gone.html"),
        ('<a href="sub">', "a.html: there is no sub"),
        ('<img src="gone.png">', "a.html: there is no gone.png"),
        ('<a href="b.html#gone">', "a.html: b.html#gone has no such anchor"),
        ('<a href="#gone">', "a.html: #gone has no such anchor"),
        ('<script src="https://cdn.example.org/x.js">', "a.html: loads https://cdn.example.org/x.js from the network"),
        ('<link href="//fonts.example.org/x.css">', "a.html: loads //fonts.example.org/x.css from the network"),
    ],
)
def test_faults_of_the_finished_pages(page: str, fault: str | None, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, content in {"a.html": page, "b.html": '<h1 id="there">', "sub/c.html": "", "a b.png": ""}.items():
        (tmp_path / name).write_text(content)
    assert [*site_links.faults(tmp_path)] == ([fault] if fault else [])
