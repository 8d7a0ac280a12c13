"""docs/DATA.md has the catalogue as the software has it."""

from __future__ import annotations

import pytest

from mpirobust.data.catalogue import CATALOGUE
from tests.docs.pages import text


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_page_has_every_data_set(name: str) -> None:
    each = CATALOGUE[name]
    test_rows = f"{each.test_rows:,}" if each.test_rows else "-"
    numbers = f"{each.rows:,} | {test_rows} | {each.features:,} | {each.classes}"
    assert f"| `{name}` | {numbers} | {each.terms} |\n" in text("DATA.md")
