"""Files that repeat the version or the requirements agree with pyproject.toml and the package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

import pytest

import mpirobust
from tests.support.launching import REPOSITORY

_PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
_EXTRAS = _PROJECT["optional-dependencies"]
_ITEM = re.compile(r"^ *- ([\w-]+) ?([><=][^#\n]*)?$", re.MULTILINE)  # of a list in YAML
_ON_CONDA = {"matplotlib": "matplotlib-base"}


def _required(requirements: Iterable[str]) -> dict[str, str]:
    """Return the versions that are wanted of each package, by its name on conda-forge."""
    found = (re.fullmatch(r"([\w-]+)([><=].*)", each) for each in requirements)
    return {_ON_CONDA.get(each[1], each[1]): each[2] for each in found if each}


def _listed(file: str) -> dict[str, str]:
    return {name: wanted.strip() for name, wanted in _ITEM.findall((REPOSITORY / file).read_text())}


def test_the_environment_of_conda_has_what_the_package_needs() -> None:
    every = [
        *_PROJECT["dependencies"],
        *(each for extra in ("mpi", "pandas", "plot", "test") for each in _EXTRAS[extra]),
    ]
    wanted = {"python": _PROJECT["requires-python"], **_required(every)}
    listed = _listed("environment.yml")
    assert {name: listed.get(name) for name in wanted} == wanted


def test_the_recipe_of_conda_has_what_the_package_needs() -> None:
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    wanted = {"python": _PROJECT["requires-python"], **_required([*_PROJECT["dependencies"], *build])}
    listed = _listed("packaging/conda/recipe.yaml")
    assert {name: listed.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("file", "line"), [("CITATION.cff", "version: {}"), ("packaging/conda/recipe.yaml", '  version: "{}"')]
)
def test_the_version_is_that_of_the_package(file: str, line: str) -> None:
    assert line.format(mpirobust.__version__) in (REPOSITORY / file).read_text().splitlines()


def test_both_papers_are_cited() -> None:
    cited = (REPOSITORY / "CITATION.cff").read_text()
    for title in re.findall(r"\*([A-Z][^*]{50,})\*", (REPOSITORY / "README.md").read_text()):
        assert f"title: {' '.join(title.split())}\n" in cited
    assert cited.count("arXiv:") == 2
