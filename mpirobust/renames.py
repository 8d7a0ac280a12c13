"""Keys that had another name in the release before: the former name works for one more, with a note.

A component declares them in `former_keys`, name -> former name, and drops the declaration a release later. What is made
from the text of a plan, its identity and the names of folders, is made with the former names: stored runs stay valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mpirobust.errors import PlanFault


def former_keys(cls: type) -> Mapping[str, str]:
    """Return the fields of a component that were renamed, each with its former name."""
    found: Mapping[str, str] = getattr(cls, "former_keys", {})
    return found


def current(cls: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a component under their current names.

    Args:
        where: its table, for the message of a fault.

    Raises:
        PlanFault: a field is given under both names.
    """
    names = {former: name for name, former in former_keys(cls).items()}
    for former, name in names.items():
        if former in values and name in values:
            raise PlanFault(
                ".".join(filter(None, (where, former))), f"this is now called {name!r}; give one of the two"
            )
    return {names.get(key, key): value for key, value in values.items()}


def renamed(table: Mapping[str, Any], names: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return a plan with other names for some of its keys, in the same order.

    Args:
        names: dotted keys of the plan, each with the other, dotted as well.
    """
    found = {}
    for key, value in table.items():
        name = names.get(prefix + key, key).rpartition(".")[2]
        found[name] = renamed(value, names, f"{prefix}{key}.") if isinstance(value, Mapping) else value
    return found


def notes(given: Iterable[str], former: Mapping[str, str]) -> list[str]:
    """Return a note on each of the dotted keys `given` that is the former name of one in `former`."""
    names = {old: name for name, old in former.items()}
    return [
        f"{key} is now called {names[key]}; the former name is accepted until the next release"
        for key in given
        if key in names
    ]
