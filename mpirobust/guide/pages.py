"""The pages that `mpirobust explain` prints: of a table, of a kind, or of a key."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mpirobust import catalog
from mpirobust.catalog import Room
from mpirobust.components import wanted
from mpirobust.errors import SetupFault
from mpirobust.guide.keys import Key, as_toml, described, keys, rooms, sections
from mpirobust.plan import Plan

_PAPERS = {
    "P1": "Ghosh, Maity, Kadhe, Mazumdar, Ramchandran, Communication-Efficient and Byzantine-Robust Distributed\n"
    "    Learning with Error Feedback",
    "P2": "Ghosh, Maity, Mazumdar, Ramchandran, Escaping Saddle Points in Distributed Newton's Method with\n"
    "    Communication Efficiency and Byzantine Resilience",
}
_WIDTH = 22  # of the column of names
_MOST = 5  # suggestions


def explain(name: str | None) -> str:
    """Return the page of a name, as `--set` spells it: a table, `table.kind`, `table.key` or `table.kind.key`.

    Without a name, that of the plan itself. A kind or a key may stand alone, if only one is called so.

    Raises:
        SetupFault: nothing is called so; with what is called nearly so.
        PlanFault: the kind cannot be loaded.
    """
    if not name:
        return _overview()
    table, rest = _split(name)
    if table in rooms():
        found = _in_room(rooms()[table], table, rest)
    else:
        cls = sections()[table]
        found = _of_key({table: cls}, rest) if rest else [_of_class(f"[{table}]", cls)]
    if not found:
        if len(called := _called(name, names())) == 1:
            return explain(called[0])
        raise SetupFault(f"nothing in a plan is called {name!r}{_suggested(name)}")
    return "\n\n".join(found)


def names() -> list[str]:
    """Return everything that has a page."""
    found = [each for each in sections() if each]
    for table, cls in sections().items():
        found += [f"{table}.{key.name}".removeprefix(".") for key in keys(cls)]
    for table, room in rooms().items():
        kinds = {f"{table}.{kind}": catalog.load(room, kind, table) for kind in catalog.kinds(room)}
        own = [(kind, key.name) for kind, cls in kinds.items() for key in keys(cls)]
        found += [table, *kinds, *(f"{table}.{key}" for _, key in own), *(f"{kind}.{key}" for kind, key in own)]
    return list(dict.fromkeys(found))


def keys_called(name: str) -> list[str]:
    """Return the keys of this name, dotted, as `--set` spells them."""
    found = [f"{table}.{key.name}".removeprefix(".") for table, cls in sections().items() for key in keys(cls)]
    for table, room in rooms().items():
        found += [
            f"{table}.{key.name}" for kind in catalog.kinds(room) for key in keys(catalog.load(room, kind, table))
        ]
    return [each for each in dict.fromkeys(found) if each.rpartition(".")[2] == name]


def _split(name: str) -> tuple[str, str]:
    """Return the longest table that the name begins with, '' for the plan itself, and the rest of the name."""
    tables = sorted([*rooms(), *sections()], key=len, reverse=True)
    table = next(each for each in tables if f"{name}.".startswith(f"{each}.") or not each)
    return table, name[len(table) :].removeprefix(".")


def _in_room(room: Room, table: str, rest: str) -> list[str]:
    kinds = [*catalog.kinds(room), *catalog.offered(room)]
    kind, _, key = rest.partition(".")
    if not rest:
        return [_of_room(room, table)]
    if rest in kinds or ":" in rest or (rest == "none" and room.without):  # loading that one says what to do instead
        return [_of_class(f"{table}.{rest}", catalog.load(room, rest, table, Path()))]
    if kind in kinds:
        return _of_key({f"{table}.{kind}": catalog.load(room, kind, table)}, key)
    return _of_key({f"{table}.{each}": catalog.load(room, each, table) for each in catalog.kinds(room)}, rest)


def _overview() -> str:
    shown = [f"  {key.name:<{_WIDTH}}{key.meaning}{'; required' if key.required else ''}" for key in keys(Plan)]
    how = "explain NAME says more, as in: explain algorithm, explain algorithm.cubic-newton, explain audit.every"
    return "\n".join(["The keys and tables of a plan:", *shown, "", f"mpirobust {how}"])


def _of_room(room: Room, table: str) -> str:
    """Return the page of a table that has a kind: a line for each."""
    firsts = {kind: described(catalog.load(room, kind, table))[0] for kind in catalog.kinds(room)}
    firsts |= dict.fromkeys(catalog.offered(room), "of an installed package")
    shown = [f"  {kind:<{_WIDTH}}{first}" for kind, first in firsts.items()]
    hints = [f'{table} = "KIND" is short for a table without other keys.'] if room.short else []
    hints += [f"{room.without[0].upper()}{room.without[1:]}."] if room.without else []
    return "\n".join([f"The kinds of [{table}]:", *shown, "", *hints, f"mpirobust explain {table}.KIND says more"])


def _of_class(title: str, cls: type) -> str:
    first, rest = described(cls)
    cited = [f"{paper}: {words}" for paper, words in _PAPERS.items() if re.search(rf"\b{paper}\b", first + rest)]
    package = catalog.missing_package(cls)
    parts = [
        f"{title}\n{first}",
        rest,
        "\n".join(["Keys:", *(_entry(key) for key in keys(cls))]) if keys(cls) else "It has no keys.",
        "\n".join(cited),
        f"Needs the package {package}: pip install 'mpirobust[{package}]'" if package else "",
        "" if cls.__module__.startswith("mpirobust.") else f"From {inspect.getfile(cls)}",
    ]
    return "\n\n".join(part for part in parts if part)


def _of_key(classes: Mapping[str, type], name: str) -> list[str]:
    """Return what these tables say of a key, each thing once, with the tables that say it."""
    said: dict[str, list[str]] = {}
    for where, cls in classes.items():
        for key in keys(cls):
            if key.name == name:
                said.setdefault(f"  {key.meaning}\n  {_facts(key)}", []).append(f"{where}.{name}".removeprefix("."))
    return ["\n".join([*places, text]) for text, places in said.items()]


def _entry(key: Key) -> str:
    name = f"  {key.name:<{_WIDTH}}"
    return f"{name}{key.meaning}\n{'':<{len(name)}}{_facts(key)}"


def _facts(key: Key) -> str:
    """Return the values, the default and the freedom of a key in a line."""
    values = f"a table: explain {key.table}" if key.table else wanted(key.hint)
    default = "required" if key.required else "" if key.default is None else f"default: {as_toml(key.default)}"
    return "; ".join(filter(None, [values, default, "may change when a run is resumed" if key.free else ""]))


def _called(last: str, every: Sequence[str]) -> list[str]:
    return [each for each in every if each.rpartition(".")[2] == last]


def _suggested(name: str) -> str:
    every = names()
    alike = _called(name.rpartition(".")[2], every) or difflib.get_close_matches(name, every)
    if not alike:
        nearest = difflib.get_close_matches(name, {each.rpartition(".")[2] for each in every}, 1)
        alike = _called(nearest[0], every) if nearest else []
    return f"; did you mean {', '.join(alike[:_MOST])}?" if alike else "; mpirobust explain lists the tables"
