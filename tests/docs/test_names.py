"""The files, functions and classes that the pages name exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import code_spans, complete_blocks
from tests.support.launching import REPOSITORY

_PACKAGE = REPOSITORY / "mpirobust"
_ROOTS = [_PACKAGE, REPOSITORY]
_PAGES = sorted(page.name for page in (REPOSITORY / "docs").glob("*.md"))
_NAMING = ["ADDING.md", "ARCHITECTURE.md", "PAPER.md"]  # pages on the code, whose dotted names are Python's

_FILE = re.compile(r"(?P<file>[\w/]+\.py)(: (?P<names>[\w., ]+))?")
_FOLDER = re.compile(r"(?P<folder>(\w+/)+)")
_DOTTED = re.compile(r"(?P<owner>\w+)\.(?P<name>\w+)(\(.*\))?")
_CAPITALISED = re.compile(r"[A-Z]\w*[a-z]\w*")
_INSTANCES = {"comm": "Communicator"}  # others are called as their class: `plan` is a `Plan`
_NOT_OURS = {
    *("Gatherv", "MPI_Abort"),
    "mpirobust/aggregators/shorten.py",  # the reader's
    *("audit.curvature_every", "stop.curvature"),  # keys of a plan
    *("mpirobust.aggregators", "mpirobust.compressors", "mpirobust.attacks", "mpirobust.cubic"),
    *("mpirobust.algorithms", "mpirobust.problems", "mpirobust.feedback", "mpirobust.observers"),
}


def _found(pattern: re.Pattern[str], pages: list[str]) -> list[tuple[str, str]]:
    """Return (page, span) for the code spans of these pages that have the form of `pattern`."""
    spans = ((page, span) for page in pages for span in sorted({*code_spans(page)} - _NOT_OURS))
    return [(page, span) for page, span in spans if pattern.fullmatch(span)]


@pytest.mark.parametrize(("page", "span"), _found(_FILE, _PAGES))
def test_files_exist_and_have_these_names(page: str, span: str) -> None:
    found = _FILE.fullmatch(span)
    assert found
    if found["file"] in complete_blocks(page):
        return
    file = next((root / found["file"] for root in _ROOTS if (root / found["file"]).is_file()), None)
    assert file is not None, f"{page}: there is no {found['file']}"
    for name in (found["names"] or "").replace(",", " ").split():
        assert name.rpartition(".")[2] in _all_names(file), f"{page}: {found['file']} has no {name}"


@pytest.mark.parametrize(("page", "span"), _found(_FOLDER, _PAGES))
def test_folders_exist(page: str, span: str) -> None:
    assert any((root / span).is_dir() for root in _ROOTS), f"{page}: there is no {span}"


@pytest.mark.parametrize(
    ("page", "span"), [each for each in _found(_DOTTED, _NAMING) if not each[1].endswith((".py", ".h5", ".toml"))]
)
def test_modules_and_classes_have_these_names(page: str, span: str) -> None:
    found = _DOTTED.fullmatch(span)
    assert found
    owner, name = found["owner"], found["name"]
    of_modules = [_top_level(file) for file in _PACKAGE.rglob(f"{owner}.py")]
    of_classes = _members(_INSTANCES.get(owner, owner[0].upper() + owner[1:]))
    assert any(name in names for names in [*of_modules, of_classes]), f"{page}: `{span}` does not exist"


@pytest.mark.parametrize(("page", "span"), _found(_CAPITALISED, ["ARCHITECTURE.md"]))
def test_classes_exist(page: str, span: str) -> None:
    assert any(span in _top_level(file) for file in _PACKAGE.rglob("*.py")), f"{page}: there is no {span}"


def test_the_patterns_find_what_the_page_names() -> None:
    page = ["ARCHITECTURE.md"]
    assert ("ARCHITECTURE.md", "running/rounds.py: loop") in _found(_FILE, page)
    assert ("ARCHITECTURE.md", "RemoteCluster.ask") in _found(_DOTTED, page)
    assert ("ARCHITECTURE.md", "Survivors") in _found(_CAPITALISED, page)
    assert ("ARCHITECTURE.md", "comm/") in _found(_FOLDER, page)


def _all_names(file: Path) -> set[str]:
    """Return the names of a module and the members of its classes."""
    return _top_level(file).union(*(_names(node.body) for node in _classes(file)))


@cache
def _top_level(file: Path) -> set[str]:
    """Return the functions, classes and constants of a module."""
    return _names(ast.parse(file.read_text()).body)


@cache
def _members(cls: str) -> set[str]:
    """Return the methods and fields of the classes of this name, those of their bases included."""
    found = set()
    for node in (node for file in _PACKAGE.rglob("*.py") for node in _classes(file)):
        if node.name == cls:
            bases = (ast.unparse(base).partition("[")[0] for base in node.bases)
            found |= _names(node.body).union(*(_members(base) for base in bases))
    return found


@cache
def _classes(file: Path) -> list[ast.ClassDef]:
    return [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]


def _names(body: list[ast.stmt]) -> set[str]:
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found
