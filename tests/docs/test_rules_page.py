"""docs/RULES.md tells what its matrices found."""

from __future__ import annotations

import csv
import re

import pytest

from mpirobust import catalog
from mpirobust.studies.family import Matrix, load_matrix
from mpirobust.studies.matrix_table import worst_attacks
from tests.docs.pages import text
from tests.support.launching import REPOSITORY


def _matrix(name: str) -> Matrix:
    return load_matrix(REPOSITORY / "configs" / "rules" / f"{name}.toml")


@pytest.mark.parametrize("name", ["regression", "breaking", "heterogeneity"])
def test_the_page_of_a_matrix_is_made_of_its_table_and_its_family(name: str) -> None:
    matrix = _matrix(name)
    with (REPOSITORY / "docs" / "rules" / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(matrix.codes) * len(matrix.rules) * len(matrix.attacks) * len(matrix.seeds)
    assert worst_attacks(rows, matrix.metric, matrix.title) == text(f"rules/{name}.md")


def test_the_rules_are_compared_as_the_command_wrote_it() -> None:
    lines = [line for line in text("rules/regression.md").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(_matrix("regression").rules)
    assert "\n" + "\n".join(lines) + "\n\n" in text("RULES.md")


@pytest.mark.parametrize(
    ("room", "axis", "others"),
    [("aggregator", "rules", {"norm-trim"}), ("attack", "attacks", {"gaussian", "label-flip", "label-random"})],
)
def test_every_kind_is_in_the_matrix_of_rules(room: str, axis: str, others: set[str]) -> None:
    """But for those of the plan itself, which are in it without a key, and for attackers that need classes."""
    keys = " ".join(key for each in getattr(_matrix("regression"), axis) for key in each.set)
    assert set(catalog.kinds(catalog.ROOMS[room])) - set(re.findall(r"kind='?([\w-]+)", keys)) == others
