"""Every kind has examples, so that no kind escapes the contract tests."""

from __future__ import annotations

import pytest

from mpirobust import catalog
from mpirobust.testing.examples import EXAMPLES, ROOMS


@pytest.mark.parametrize("table", ROOMS)
def test_every_kind_has_examples(table: str) -> None:
    found, tried = set(catalog.kinds(ROOMS[table])), {kind for kind, settings in EXAMPLES[table].items() if settings}
    missing, gone = sorted(found - tried), sorted(tried - found)
    assert not missing, f"add examples of {missing} to EXAMPLES[{table!r}] in mpirobust/testing/examples.py"
    assert not gone, f"remove {gone} from EXAMPLES[{table!r}] in mpirobust/testing/examples.py: there is no such file"
