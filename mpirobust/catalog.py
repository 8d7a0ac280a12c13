"""From a table of the plan to an object and back: `kind` is a file name, keys are fields.

Only the kinds that a plan names are imported.
"""

from __future__ import annotations

import difflib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib import import_module
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mpirobust.errors import PlanFault

ROOMS = {
    "data": "mpirobust.data.sources",
    "problem": "mpirobust.problems",
    "algorithm": "mpirobust.algorithms",
    "compressor": "mpirobust.compressors",
    "aggregator": "mpirobust.aggregators",
    "attack": "mpirobust.attacks",
    "observers": "mpirobust.observers",  # a table of tables, one for each observer
}


def kinds(room: str) -> list[str]:
    """The kinds in a room, as a plan spells them; nothing is imported but the room itself."""
    files = (each.name for each in pkgutil.iter_modules(import_module(room).__path__))
    return sorted(name.replace("_", "-") for name in files if name != "base" and not name.startswith("_"))


def load(room: str, kind: object, where: str) -> type:
    """The class of a kind; raises `PlanFault` that lists the choices where there is none."""
    if not isinstance(kind, str) or kind not in kinds(room):
        said = "missing" if kind is None else f"unknown kind {kind!r}"
        raise PlanFault(f"{where}.kind", f"{said}; choose one of: {', '.join(kinds(room))}{_close(kind, kinds(room))}")
    module = import_module(f"{room}.{kind.replace('-', '_')}")
    found = [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__ and hasattr(each, "__pydantic_fields__")
    ]
    if len(found) != 1:
        raise PlanFault(f"{where}.kind", f"{module.__file__} must define one component, it has {len(found)}")
    component: type = found[0]
    return component


def build(room: str, table: object, where: str) -> Any:
    """The component that `table` describes; raises `PlanFault` with the dotted key and the choices."""
    if not isinstance(table, Mapping):
        raise PlanFault(where, f"expected a table with a kind, one of: {', '.join(kinds(room))}")
    cls = load(room, table.get("kind"), where)
    values = {key: value for key, value in table.items() if key != "kind"}
    for key, inner in inner_rooms(cls).items():
        if key in values:
            values[key] = build(inner, values[key], f"{where}.{key}")
    return validated(cls, values, where)


def validated(cls: type, values: Mapping[str, Any], where: str) -> Any:
    """`cls(**values)`; raises `PlanFault` for the first wrong key."""
    names = [each.name for each in fields(cls)]
    for key in values:
        if key not in names:
            choices = ", ".join(names) or "none"
            raise PlanFault(_dotted(where, key), f"unknown key; the keys here are: {choices}{_close(key, names)}")
    try:
        return cls(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"][:1]))
        said = [
            each["msg"].removeprefix("Value error, ") for each in error.errors() if each["loc"][:1] == first["loc"][:1]
        ]
        reason = " or ".join(dict.fromkeys(said))
        if first["type"] == "missing":
            reason = "missing"
        elif key:
            reason = f"{reason[0].lower()}{reason[1:]}, not {first['input']!r}"
        raise PlanFault(_dotted(where, key), reason) from error


def table_of(component: Any) -> dict[str, Any]:
    """The table that `build` makes `component` from, without its kind; keys whose value is None are left out.

    Tables inside of it have their kinds, but for those of a field that is declared as one class, such as [audit].
    """
    table: dict[str, Any] = {}
    rooms = inner_rooms(type(component))
    for each in fields(component):
        value = getattr(component, each.name)
        if hasattr(value, "__pydantic_fields__"):
            table[each.name] = with_kind(value) if each.name in rooms else table_of(value)
        elif value is not None:
            table[each.name] = value
    return table


def with_kind(component: Any) -> dict[str, Any]:
    """The table that `build` makes `component` from, whole."""
    return {"kind": _kind_of(component), **table_of(component)}


def _kind_of(component: Any) -> str:
    module: str = type(component).__module__
    return module.rpartition(".")[2].replace("_", "-")


def free_keys(part: Any, prefix: str = "") -> Iterator[str]:
    """The dotted keys of a component that may differ between a run and its continuation.

    Of a class, and of fields that hold no component, they are those that hold for all kinds of the declared class.
    """
    yield from (prefix + key for key in getattr(part, "free_on_resume", ()))
    if hasattr(part, "__pydantic_fields__"):
        cls: Any = part if inspect.isclass(part) else type(part)
        for name, options in _declared(cls).items():
            value = None if part is cls else getattr(part, name)
            for inner in options if value is None else (value,):
                yield from free_keys(inner, f"{prefix}{name}.")


def inner_rooms(cls: type) -> dict[str, str]:
    """The fields of a component that hold a component of another room, and that room."""
    return {
        name: option.__module__.removesuffix(".base")
        for name, options in _declared(cls).items()
        for option in options
        if option.__module__.startswith("mpirobust.") and option.__module__.endswith(".base")
    }


@cache
def _declared(cls: type) -> dict[str, list[type]]:
    """The fields of a component, each with the classes that it is declared to hold."""
    hints, found = get_type_hints(cls), {}
    for each in fields(cls):
        hint = hints[each.name]
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        found[each.name] = [option for option in options if inspect.isclass(option)]
    return found


def defaults(cls: type) -> dict[str, str]:
    """The fields of a component, each with its default as text; '' where it must be given."""
    shown = {}
    for each in fields(cls):
        default = each.default
        if isinstance(default, FieldInfo):
            made = default.get_default(call_default_factory=True)
            shown[each.name] = _kind_of(made)
        else:
            shown[each.name] = "" if default is MISSING else "-" if default is None else str(default)
    return shown


def _dotted(where: str, key: str) -> str:
    return ".".join(part for part in (where, key) if part)


def _close(word: object, choices: list[str]) -> str:
    near = difflib.get_close_matches(word, choices, 1) if isinstance(word, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""
