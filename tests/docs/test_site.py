"""What `make site` adds to the pages: navigation, reference, links. The strict build itself is a step of CI."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

import mpirobust
from mpirobust import catalog
from mpirobust.components import is_component
from mpirobust.observers.audit import Audits
from mpirobust.plan import Plan
from tests.docs.pages import text
from tests.support.launching import REPOSITORY

plan_reference = pytest.importorskip("plan_reference", reason="no Sphinx: pip install 'mpirobust[docs]'")
site_links = pytest.importorskip("site_links", reason="no Sphinx: pip install 'mpirobust[docs]'")

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
    assert sorted(shown) == sorted([*plan_reference.ROOMS, *classes])


@pytest.mark.parametrize("table", plan_reference.ROOMS)
def test_the_reference_has_every_kind_with_every_key(table: str) -> None:
    room = plan_reference.ROOMS[table]
    page = plan_reference.kinds_of(table)
    for kind in catalog.kinds(room):
        part = page.split(f"### `{kind}`\n", 1)[1].split("\n### ")[0]
        for each in fields(catalog.load(room, kind, table)):
            assert f"`{each.name}`" in part, f"{table}: {kind}: {each.name}"


def test_a_key_has_its_values_its_default_and_its_meaning() -> None:
    audit, plan = (plan_reference.keys_of(cls).splitlines() for cls in (Audits, Plan))
    assert (
        "| `every` | a whole number greater than 0 and at most 1000000000 | `1` | rounds from audit to audit. |"
        in audit
    )
    [curvature] = [line for line in audit if line.startswith("| `curvature_every` |")]
    assert curvature.endswith("and so does the last audit; None: none does. |")  # from a second line of the docstring
    assert any(line.startswith('| `weigh` | `"equal"` or `"rows"` | `equal` |') for line in plan)
    assert any(line.startswith("| `workers` | ") and "| must be given |" in line for line in plan)
    assert any(line.startswith("| `observers` | a table | empty |") for line in plan)


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
