"""The tables `[observers.<name>]` of a plan, and the order in which its observers see a round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mpirobust import catalog
from mpirobust.errors import PlanFault
from mpirobust.observers.base import Observer

NAME = "observers"

# The audit before the row, the row before the checkpoint. Others follow by name. The deadline is last, because it has
# to know the time that all others took.
_CORE = ("signals", "finite", "audit", "recorder", "checkpoint", "progress")
_LAST = ("deadline",)


def built(tables: object, sections: Mapping[str, type], beside: Path | None) -> dict[str, Observer]:
    """Return the observers of the tables `[observers.<name>]`; raise `PlanFault` if one is wrong.

    The name is the kind unless the table has one. A table that only repeats defaults is left out: the plan is the same.

    Args:
        sections: the tables of one class; some observers have theirs there.
        beside: the folder of the plan.
    """
    room, found = catalog.ROOMS[NAME], {}
    for name, table in expect_table(tables, NAME).items():
        where = f"{NAME}.{name}"
        kind = expect_table(table, where).get("kind", name)
        for own in (name, kind):
            if own in _CORE + _LAST and name != kind:
                taken = f"every run has one observer {own!r}, in [{NAME}.{own}]"
                raise PlanFault(f"{where}.kind", f"{taken}; choose another {'name' if own == name else 'kind'}")
        observer: Observer = catalog.build(room, {**table, "kind": kind}, where, beside)
        usual = name in _CORE + _LAST and name not in sections
        if not usual or observer != catalog.build(room, {"kind": kind}, where, beside):
            found[name] = observer
    return found


def in_order(given: Mapping[str, Observer]) -> list[Observer]:
    """Return the observers of a run, `given` and those of every run, in the order in which they see a round."""
    own = {name: catalog.build(catalog.ROOMS[NAME], {"kind": name}, name) for name in _CORE + _LAST}
    others = sorted(given.keys() - own.keys())
    return [{**own, **given}[name] for name in (*_CORE, *others, *_LAST)]


def free_keys(given: Mapping[str, Observer], sections: Mapping[str, type]) -> Iterator[str]:
    """Yield the keys of observers, `given` and those of every run, that may differ between a run and its continuation.

    Args:
        sections: as in `built`.
    """
    core = {name: catalog.load(catalog.ROOMS[NAME], name, "") for name in _CORE + _LAST if name not in sections}
    for name, observer in {**core, **given}.items():
        yield from catalog.free_keys(observer, f"{NAME}.{name}.")


def expect_table(table: object, where: str) -> dict[str, Any]:
    """Return `table`; raise `PlanFault` if it is none."""
    if not isinstance(table, dict):
        raise PlanFault(where, "expected a table")
    return table
