"""The JSON schema of a plan, from which editors complete and check it."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from mpirobust import __version__, catalog
from mpirobust.catalog import Room
from mpirobust.components import Function
from mpirobust.guide.keys import Key, described, keys, rooms, sections
from mpirobust.plan import Plan

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ELSEWHERE = {"type": "string", "pattern": ":"}  # a kind or a function of another package or file
_OBSERVERS = "observers"


def schema() -> dict[str, Any]:
    """Return the schema of a plan, draft 2020-12, with the kinds of this package and of installed ones.

    The rules between tables, and some over several keys of a table, are not in it: `mpirobust check` knows them.
    """
    observers = catalog.ROOMS[_OBSERVERS]
    plan = _of_table(Plan)
    plan["properties"][_OBSERVERS] |= {
        "properties": {name: _of_kind(observers, name, named=True) for name in catalog.kinds(observers)},
        "additionalProperties": _reference(_OBSERVERS),
    }
    tables = {table: _of_room(room) for table, room in rooms().items()}
    for cls in (catalog.load(room, kind, "") for room in rooms().values() for kind in catalog.kinds(room)):
        for key in keys(cls) if (down := catalog.handed_down(cls)) else ():
            if key.table:
                tables[_inner(key.table, down)] = _of_room(rooms()[key.table], down)
    fixed = {table: _of_table(cls) for table, cls in sections().items() if table}
    return {"$schema": _DIALECT, **plan, "title": f"A plan of mpirobust {__version__}", "$defs": tables | fixed}


def _of_room(room: Room, given: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a table whose `kind` chooses its keys; none of `given` has to be in it."""
    kinds = [*catalog.kinds(room), *catalog.offered(room)]
    elsewhere = {"type": "object", "properties": {"kind": _ELSEWHERE}, "required": ["kind"]}
    short = [{"enum": kinds}, _ELSEWHERE] if room.short else []
    return {"oneOf": [*(_of_kind(room, kind, given=given) for kind in kinds), elsewhere, *short]}


def _of_kind(room: Room, kind: str, named: bool = False, given: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a table of this kind, which the name of the table says already if it is `named`."""
    found = _of_table(catalog.load(room, kind, ""))
    found["properties"] = {"kind": {"const": kind}, **found["properties"]}
    required = (key for key in found["required"] if key not in given)
    found["required"] = [*(() if named else ("kind",)), *required]
    return {"title": kind, **found}


def _of_table(cls: type) -> dict[str, Any]:
    shown = keys(cls)
    pairs = {tuple(sorted((key.name, other))) for key in shown for other in catalog.excluded_by(cls, key.name)}
    return {
        "description": described(cls)[0],
        "type": "object",
        "properties": {key.name: _of_key(key, catalog.handed_down(cls)) for key in shown},
        "required": [key.name for key in shown if key.required],
        "additionalProperties": False,
        **({"allOf": [{"not": {"required": [*pair]}} for pair in sorted(pairs)]} if pairs else {}),
    }


def _of_key(key: Key, down: tuple[str, ...]) -> dict[str, Any]:
    values = _reference(_inner(key.table, down)) if key.table else _of_hint(key.hint)
    return {"description": key.meaning, **values, **({} if key.default is None else {"default": key.default})}


def _inner(table: str, down: tuple[str, ...]) -> str:
    """Return the name of the schema of an inner table, which gets the keys `down` of the outer one."""
    return "-".join((table, "without", *down)) if down else table


def _reference(table: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{table}"}


def _of_hint(hint: Any) -> dict[str, Any]:
    """Return the schema of the values that a plan may have for this hint: no null, and a function by its name."""
    if get_origin(hint) in (Union, UnionType):
        options = [_of_hint(option) for option in get_args(hint) if option is not NoneType]
        return {"anyOf": options} if len(options) > 1 else options[0]
    if hint is Function:
        return _ELSEWHERE
    if get_origin(hint) is dict:  # of what the plan itself does not know
        return {"type": "object"}
    return msgspec.json.schema(hint)
