"""Every kind, with its fields and what it is."""

from __future__ import annotations

from dataclasses import fields

from mpirobust import catalog
from mpirobust.errors import PlanFault

_ROOMS = {**catalog.ROOMS, "data.partition": "mpirobust.data.partitions", "algorithm.solver": "mpirobust.cubic"}
_WIDTH = 22  # of the column of kinds


def listing(table: str | None) -> str:
    """The kinds of one table of the plan, or of all; raises `PlanFault` where there is no such table."""
    if table is not None and table not in _ROOMS:
        raise PlanFault(table, f"no such table; choose one of: {', '.join(_ROOMS)}")
    blocks = []
    for name, room in _ROOMS.items():
        if table in (None, name):
            blocks.append("\n".join([f"[{name}]", *(_entry(room, kind, name) for kind in catalog.kinds(room))]))
    return "\n\n".join(blocks)


def _entry(room: str, kind: str, table: str) -> str:
    cls = catalog.load(room, kind, table)
    shown = catalog.defaults(cls)
    keys = ", ".join(f"{each.name} = {shown[each.name]}" if shown[each.name] else each.name for each in fields(cls))
    first_line = (cls.__doc__ or "").strip().splitlines()[0]
    return f"  {kind:<{_WIDTH}}{first_line}" + (f"\n{'':<{_WIDTH + 2}}{keys}" if keys else "")
