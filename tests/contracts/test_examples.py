"""Every kind has examples, so that no kind escapes the contract tests."""

from __future__ import annotations

import pytest

from mpirobust import catalog
from mpirobust.testing.examples import EXAMPLES, ROOMS, components


@pytest.mark.parametrize("table", ROOMS)
def test_every_kind_has_examples(table: str) -> None:
    found, tried = set(catalog.kinds(ROOMS[table])), {kind for kind, settings in EXAMPLES[table].items() if settings}
    missing, gone = sorted(found - tried), sorted(tried - found)
    assert not missing, f"add examples of {missing} to EXAMPLES[{table!r}] in mpirobust/testing/examples.py"
    assert not gone, f"remove {gone} from EXAMPLES[{table!r}] in mpirobust/testing/examples.py: there is no such file"


def _needs(table: str, kind: str) -> bool:
    return hasattr(catalog.load(ROOMS[table], kind, table), "needs")


_NEEDING = [(table, kind) for table in ROOMS for kind in EXAMPLES[table] if _needs(table, kind)]


@pytest.mark.parametrize(("table", "kind"), _NEEDING)
def test_a_kind_that_needs_a_package_is_tried_where_it_is_installed(table: str, kind: str) -> None:
    cls = catalog.load(ROOMS[table], kind, table)
    if package := catalog.missing_package(cls):
        pytest.skip(f"{kind} needs {package}, so the contract tests leave it out: pip install 'mpirobust[{package}]'")
    assert any(isinstance(each, cls) for each in components(table).values())
