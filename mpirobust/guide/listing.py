"""Every kind, with its fields and what it is."""

from __future__ import annotations

import inspect
from dataclasses import fields

from mpirobust import catalog
from mpirobust.errors import PlanFault

_ROOMS = {**catalog.ROOMS, **catalog.NESTED}
_WIDTH = 22  # of the column of kinds


def listing(table: str | None) -> str:
    """Return the kinds of one table of the plan, or of all; raise `PlanFault` if there is no such table."""
    if table is not None and table not in _ROOMS:
        raise PlanFault(table, f"no such table; choose one of: {', '.join(_ROOMS)}")
    blocks = []
    for name, room in _ROOMS.items():
        if table in (None, name):
            own = (_entry(room, kind, name) for kind in catalog.kinds(room))
            offered = (_offered(room, kind, name) for kind in catalog.offered(room))
            blocks.append("\n".join([f"[{name}]", *own, *offered]))
    return "\n\n".join(blocks)


def _offered(room: catalog.Room, kind: str, table: str) -> str:
    """Return the entry of a kind of an installed package, with its origin or why it cannot be loaded."""
    try:
        return f"{_entry(room, kind, table)}\n{'':<{_WIDTH + 2}}from {inspect.getfile(catalog.load(room, kind, table))}"
    except PlanFault as fault:
        return f"  {kind:<{_WIDTH}}{fault.reason}"


def _entry(room: catalog.Room, kind: str, table: str) -> str:
    cls = catalog.load(room, kind, table)
    shown = catalog.defaults(cls)
    keys = ", ".join(f"{each.name} = {shown[each.name]}" if shown[each.name] else each.name for each in fields(cls))
    first_line = (cls.__doc__ or "").strip().splitlines()[0]
    return f"  {kind:<{_WIDTH}}{first_line}" + (f"\n{'':<{_WIDTH + 2}}{keys}" if keys else "")
