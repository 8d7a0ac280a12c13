"""`mpirobust list` knows every table that has kinds, and every kind in it."""

from __future__ import annotations

import pytest

from mpirobust import catalog
from mpirobust.errors import PlanFault
from mpirobust.guide.listing import listing
from mpirobust.testing.examples import ROOMS


def test_has_every_kind_of_every_room_in_its_column() -> None:
    lines = listing(None).splitlines()
    for table, room in ROOMS.items():
        name = {"partition": "data.partition"}.get(table, table)
        assert f"[{name}]" in lines
        for kind in catalog.kinds(room):
            assert any(line.startswith(f"  {kind} ") for line in lines), kind


def test_of_one_table() -> None:
    assert listing("algorithm.solver").startswith("[algorithm.solver]\n  descent ")
    with pytest.raises(PlanFault, match="no such table; choose one of: data, problem"):
        listing("solvers")
