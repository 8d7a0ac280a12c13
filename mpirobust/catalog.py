"""From a table of the plan to a component and back.

A kind is a file in its room (`kind = "norm-trim"`), an entry point of an installed package, a class of a module
(`kind = "their_package.module:Class"`), or a class in a file beside the plan (`kind = "./huber.py:Huber"`). Only the
kinds that a plan names are imported. Reading a trace or a checkpoint never leads to an import.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from mpirobust import outside
from mpirobust.components import Function, is_component
from mpirobust.errors import PlanFault
from mpirobust.outside import Origin
from mpirobust.records.plan_record import flat
from mpirobust.renames import current, former_keys, notes

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


@dataclass(frozen=True)
class Room:
    """The kinds of one table of the plan.

    Attributes:
        package: with the contract in `base` and one file for each kind.
        contract: the class in `base` that every kind is derived from.
        short: whether a plan may write the kind alone, as a string, if the table has no other key.
        without: what to do instead of asking for the kind `none`.
    """

    package: str
    contract: str
    short: bool = False
    without: str = ""

    @property
    def group(self) -> str:
        """The group of the entry points by which installed packages offer kinds: `mpirobust.aggregators`, say."""
        return self.package

    def base(self) -> type:
        """Return the class that every kind is derived from."""
        found: type = getattr(import_module(f"{self.package}.base"), self.contract)
        return found


ROOMS = {
    "data": Room("mpirobust.data.sources", "Source"),
    "problem": Room("mpirobust.problems", "Loss"),
    "algorithm": Room("mpirobust.algorithms", "Algorithm"),
    "compressor": Room("mpirobust.compressors", "Compressor", without="'identity' sends vectors as they are"),
    "aggregator": Room("mpirobust.aggregators", "Aggregator", without="'mean' keeps every worker"),
    "attack": Room("mpirobust.attacks", "Attack", without="for honest workers leave out [attack], or set alpha to 0"),
    "feedback": Room("mpirobust.feedback", "Feedback", short=True),
    "observers": Room("mpirobust.observers", "Observer"),  # a table of tables, one for each observer
}
NESTED = {
    "data.partition": Room("mpirobust.data.partitions", "Partition"),
    "algorithm.solver": Room("mpirobust.cubic", "CubicSolver"),
}
_BY_PACKAGE = {room.package: room for room in [*ROOMS.values(), *NESTED.values()]}

_origins: dict[type, Origin] = {}  # of the classes that were loaded from outside, by the last name of each


def kinds(room: Room) -> list[str]:
    """Return the kinds of the package itself, as a plan spells them; nothing is imported but the room."""
    files = (each.name for each in pkgutil.iter_modules(import_module(room.package).__path__))
    return sorted(name.replace("_", "-") for name in files if name != "base" and not name.startswith("_"))


def offered(room: Room) -> list[str]:
    """Return the kinds that installed packages offer by entry points; nothing is imported."""
    return sorted(_entries(room).names)


def _entries(room: Room) -> EntryPoints:
    from importlib.metadata import entry_points  # slow to import, and reads a file of every installed package

    return entry_points(group=room.group)


def _is_own(room: Room, kind: str) -> bool:
    """Return whether `kind` is one of `kinds(room)`, without listing them: each rank of a job asks."""
    spelled = re.fullmatch("[a-z0-9][a-z0-9-]*", kind) and kind != "base"
    return bool(spelled and find_spec(f"{room.package}.{kind.replace('-', '_')}"))


def load(room: Room, kind: object, where: str, beside: Path | None = None) -> type:
    """Return the class of a kind.

    Args:
        where: the table of the plan, for the message of a fault.
        beside: the folder of the plan, for kinds in files beside it.

    Raises:
        PlanFault: there is no such kind (with the choices), it cannot be imported, or it is no component of the room.
    """
    if isinstance(kind, str) and ":" in kind:
        module, _, name = kind.rpartition(":")
        return _outside(room, kind, module, name, where, beside)
    if isinstance(kind, str) and _is_own(room, kind):
        return _only_component(import_module(f"{room.package}.{kind.replace('-', '_')}"), where)
    if isinstance(kind, str) and kind in offered(room):
        entry = _entries(room)[kind]
        return _outside(room, kind, entry.module, entry.attr, where, beside)
    choices = [*kinds(room), *offered(room)]
    reason = "missing" if kind is None else f"unknown kind {kind!r}"
    advice = f"{_without(room, kind)}choose one of: {', '.join(choices)}{_close(kind, choices)}"
    raise PlanFault(f"{where}.kind", f"{reason}; {advice}")


def _only_component(module: ModuleType, where: str) -> type:
    own = (each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__)
    found = [each for each in own if is_component(each)]
    if len(found) != 1:
        raise PlanFault(f"{where}.kind", f"{module.__file__} must define one component, it has {len(found)}")
    return found[0]


def _outside(room: Room, kind: str, module_name: str, name: str, where: str, beside: Path | None) -> type:
    """Return the class `name` of a module that is not of this package."""
    with outside.loading(kind, f"{where}.kind", beside):
        cls = outside.member(outside.module(module_name, beside), name)
        if is_component(cls):
            _declared(cls)  # its hints have to be known names
    if not (inspect.isclass(cls) and issubclass(cls, room.base()) and is_component(cls)):
        raise PlanFault(
            f"{where}.kind", f"{kind!r} is no component that is derived from {room.package}.base.{room.contract}"
        )
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise PlanFault(f"{where}.kind", f"{kind!r} is abstract; it lacks: {missing}")
    if cls.__module__.rpartition(".")[0] in _BY_PACKAGE:
        return cls  # a kind of the package by another name
    _origins[cls] = outside.origin_of(kind, cls)
    return cls


def origins(component: Any) -> dict[str, Origin]:
    """Return the origins of what `component` holds from outside, kinds and functions, by the place in its table."""
    functions = ((each.name, getattr(component, each.name)) for each in fields(component))
    found = {name: Origin(it.name, it.file, it.sha256) for name, it in functions if isinstance(it, Function)}
    for place, inner in _parts(component):
        if origin := _origin(inner):
            found[place] = origin
        found |= {f"{place}.{further}": origin for further, origin in origins(inner).items()}
    return found


def _origin(component: Any) -> Origin | None:
    """Return the origin of a component from outside, by the name of its own table: a class can have several."""
    return vars(component).get("_origin") or _origins.get(type(component))


def _parts(component: Any) -> Iterator[tuple[str, Any]]:
    """Yield the components that a component holds, each with its place in the table."""
    for each in fields(component):
        value = getattr(component, each.name)
        for name, inner in value.items() if isinstance(value, Mapping) else [("", value)]:
            if is_component(inner):
                yield _dotted(each.name, name), inner


def handed_down(cls: type) -> tuple[str, ...]:
    """Return the keys of a kind that its inner tables get as well, unless they have their own."""
    return getattr(cls, "handed_down", ())


def build(room: Room, table: object, where: str, beside: Path | None = None) -> Any:
    """Return the component that `table` describes; or `table`, if it is one already, as from Python.

    Args:
        where, beside: as in `load`.

    Raises:
        PlanFault: with the dotted key, and the choices if there are any.
    """
    if is_component(table) and isinstance(table, room.base()):
        return table
    if room.short and isinstance(table, str):
        table = {"kind": table}
    if not isinstance(table, Mapping):
        raise PlanFault(where, f"{_without(room, table)}expected a table with a kind, one of: {', '.join(kinds(room))}")
    cls = load(room, table.get("kind"), where, beside)
    origin = _origins.get(cls)
    if package := missing_package(cls):
        reason = f"{table['kind']!r} needs the package {package}, which is not installed"
        raise PlanFault(f"{where}.kind", f"{reason}: pip install 'mpirobust[{package}]'")
    values = current(cls, {key: value for key, value in table.items() if key != "kind"}, where)
    down = {key: values[key] for key in handed_down(cls) if key in values}
    for key, inner in inner_rooms(cls).items():
        if key in values:
            below = {**down, **values[key]} if isinstance(values[key], Mapping) else values[key]
            values[key] = build(inner, below, f"{where}.{key}", beside)
    for key, options in _declared(cls).items():
        if Function in options and isinstance(name := values.get(key), str) and ":" in name:
            values[key] = outside.function(name, f"{where}.{key}", beside)
    made = validated(cls, values, where)
    if origin:
        object.__setattr__(made, "_origin", origin)  # components are frozen
    return made


def given(table: str, it: object, where: str = "") -> tuple[Any, list[str]]:
    """Return the component that a Python program gives for a table of a plan, and notes on its keys.

    Args:
        it: a component of this table, or a kind, or a table with a kind.
        where: its name in the program; '' for that of the table.

    Raises:
        PlanFault: it is something else; otherwise as `build`.
    """
    room, where = ROOMS[table], where or table
    if is_component(it) and isinstance(it, room.base()):
        return it, []
    if not isinstance(it, str | Mapping):
        wanted = f"a kind, a table with a kind, or a component of {room.contract}"
        raise PlanFault(where, f"expected {wanted}, not {it!r}")
    keys = {"kind": it} if isinstance(it, str) else it
    made = build(room, keys, where)
    return made, notes((key for key, _ in flat(keys, f"{where}.")), former_names(made, f"{where}."))


def missing_package(cls: type) -> str:
    """Return the package that a kind needs (`needs`) if it is not installed; else ''."""
    package = str(getattr(cls, "needs", ""))
    return package if package and find_spec(package) is None else ""


def validated(cls: type, values: Mapping[str, Any], where: str) -> Any:
    """Return `cls(**values)`; raise `PlanFault` for the first wrong key."""
    names = [each.name for each in fields(cls)]
    values = current(cls, values, where)
    for key in values:
        if key not in names:
            choices, meant = ", ".join(names) or "none", _further_in(values, key, where) or _close(key, names)
            raise PlanFault(_dotted(where, key), f"unknown key; the keys here are: {choices}{meant}")
    for each in fields(cls):
        if each.name not in values and each.default is MISSING and each.default_factory is MISSING:
            name = _dotted(where, each.name)
            raise PlanFault(name, f"missing; mpirobust explain {name} says what it is")
    try:
        return cls(**values)
    except PlanFault as fault:
        raise PlanFault(_dotted(where, fault.where), fault.reason) from fault
    except (TypeError, ValueError) as error:  # a rule over several keys
        raise PlanFault(where, str(error)) from error


def table_of(component: Any) -> dict[str, Any]:
    """Return the table that `build` makes `component` from, without its kind; keys whose value is None are left out.

    Inner tables have a kind, except those of a field that is declared as one class, such as [audit]. What they have
    from the outer one (`handed_down`) is left out.
    """
    table: dict[str, Any] = {}
    rooms, down = inner_rooms(type(component)), handed_down(type(component))
    for each in fields(component):
        value = getattr(component, each.name)
        if is_component(value):
            inner = with_kind(value) if each.name in rooms else table_of(value)
            inner = {key: told for key, told in inner.items() if key not in down or told != getattr(component, key)}
            short = each.name in rooms and rooms[each.name].short and len(inner) == 1
            table[each.name] = inner["kind"] if short else inner
        elif isinstance(value, Function):
            table[each.name] = value.name
        elif value is not None:
            table[each.name] = value
    return table


def with_kind(component: Any) -> dict[str, Any]:
    """Return the table that `build` makes `component` from, with its kind."""
    return {"kind": _kind_of(component), **table_of(component)}


def _kind_of(component: Any) -> str:
    origin = _origin(component)
    return origin.kind if origin else type(component).__module__.rpartition(".")[2].replace("_", "-")


def added(component: Any, prefix: str = "") -> dict[str, Any]:
    """Return the dotted keys of a component that are newer than some stored plans, with the former behaviour as value.

    A component declares them in `added_keys`.
    """
    found = {prefix + key: value for key, value in getattr(component, "added_keys", {}).items()}
    for place, inner in _parts(component):
        found |= added(inner, f"{prefix}{place}.")
    return found


def former_names(component: Any, prefix: str = "") -> dict[str, str]:
    """Return the dotted keys of a component that were renamed, each with its former name, dotted as well."""
    found = {prefix + name: prefix + former for name, former in former_keys(type(component)).items()}
    for place, inner in _parts(component):
        found |= former_names(inner, f"{prefix}{place}.")
    return found


def free_keys(part: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a component that may differ between a run and its continuation.

    For a class, and for fields without a component, these are the keys that are free in every kind of that class.
    """
    yield from (prefix + key for key in getattr(part, "free_on_resume", ()))
    if is_component(part):
        cls: Any = part if inspect.isclass(part) else type(part)
        for name, options in _declared(cls).items():
            value = None if part is cls else getattr(part, name)
            for inner in options if value is None else (value,):
                yield from free_keys(inner, f"{prefix}{name}.")


def inner_rooms(cls: type) -> dict[str, Room]:
    """Return the fields of a component that hold a component of another room, and that room."""
    found = {}
    for name, options in _declared(cls).items():
        for option in options:
            package, _, base = option.__module__.rpartition(".")
            if base == "base" and package in _BY_PACKAGE:
                found[name] = _BY_PACKAGE[package]
    return found


@cache
def _declared(cls: type) -> dict[str, list[type]]:
    """Return the fields of a component, each with the classes that it is declared to hold."""
    hints, found = get_type_hints(cls), {}
    for each in fields(cls):
        hint = hints[each.name]
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        classes = (get_origin(option) or option for option in options)  # `Algorithm` of `Algorithm[State]`
        found[each.name] = [option for option in classes if inspect.isclass(option)]
    return found


def excluded_by(cls: type, key: str) -> frozenset[str]:
    """Return the keys of a component that must not be given together with `key`, such as its other name.

    A component whose keys fall into two groups that exclude each other declares these groups in `either`.
    """
    one, other = getattr(cls, "either", (frozenset(), frozenset()))
    names = frozenset(name for pair in former_keys(cls).items() if key in pair for name in pair) - {key}
    return names | frozenset(other if key in one else one if key in other else ())


def defaults(cls: type) -> dict[str, str]:
    """Return the fields of a component, each with its default as text; '' if it must be given."""
    shown = {}
    for each in fields(cls):
        default = each.default
        if each.default_factory is not MISSING:
            made = each.default_factory()
            shown[each.name] = _kind_of(made) if is_component(made) else ""
        else:
            shown[each.name] = "" if default is MISSING else "-" if default is None else str(default)
    return shown


def _dotted(where: str, key: str) -> str:
    return ".".join(part for part in (where, key) if part)


def _without(room: Room, kind: object) -> str:
    return f"{room.without}; " if kind == "none" and room.without else ""


def _further_in(values: Mapping[str, Any], key: str, where: str) -> str:
    """Return a hint at the tables among `values` that have this key: `rounds` is one of `algorithm`."""
    tables = [name for name, value in values.items() if is_dataclass(value) and key in (f.name for f in fields(value))]
    meant = " or ".join(repr(_dotted(where, f"{name}.{key}")) for name in tables)
    return f" (did you mean {meant}?)" if meant else ""


def _close(word: object, choices: list[str]) -> str:
    import difflib

    likely = isinstance(word, str) and len(word) < 100  # the comparison is slow for long words
    near = difflib.get_close_matches(str(word), choices, 1) if likely else []
    return f" (did you mean {near[0]!r}?)" if near else ""
