"""The tables of a plan, their kinds and keys, with the meanings that the docstrings give."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from mpirobust import catalog
from mpirobust.catalog import Room
from mpirobust.components import is_component
from mpirobust.plan import SECTIONS, Plan

_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


@dataclass(frozen=True)
class Key:
    """A key of a table.

    Attributes:
        name: as the plan spells it.
        hint: its type, with the bounds.
        default: what it is if the plan does not say, as a plan would write it; None if there is nothing to write.
        required: whether the plan has to say.
        meaning: one sentence without its end; '' if the class has none.
        table: the name of the table that it holds, as `rooms` and `sections` have it; '' for a value.
        free: whether it may change when a run is resumed.
    """

    name: str
    hint: Any
    default: Any
    required: bool
    meaning: str
    table: str
    free: bool


def rooms() -> dict[str, Room]:
    """Return the tables of a plan whose `kind` chooses their keys, by name."""
    further = {key: room for key, room in catalog.inner_rooms(Plan).items() if key not in catalog.ROOMS}
    return {**catalog.ROOMS, **catalog.NESTED, **further}


def sections() -> dict[str, type]:
    """Return the tables that have always the same keys, by name; '' is the plan itself."""
    return {"": Plan, **SECTIONS}


@cache
def keys(cls: type) -> tuple[Key, ...]:
    """Return the keys of a table that is a `cls`, in the order of their declaration."""
    hints, said = get_type_hints(cls, include_extras=True), meanings(cls)
    tables = {
        key: next(name for name in rooms() if rooms()[name] == room) for key, room in catalog.inner_rooms(cls).items()
    }
    free = getattr(cls, "free_on_resume", ())
    return tuple(
        Key(
            name=each.name,
            hint=hints[each.name],
            default=_as_written(_default(each)),
            required=_default(each) is MISSING,
            meaning=said.get(each.name, ""),
            table=tables.get(each.name, each.name if is_component(hints[each.name]) else ""),
            free=each.name in free,
        )
        for each in fields(cls)
    )


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _as_written(value: Any) -> Any:
    """Return a default as a plan would write it; None if it cannot."""
    if value is MISSING or isinstance(value, dict):
        return None
    if is_component(value):
        return catalog.with_kind(value)
    return list(value) if isinstance(value, tuple) else value


def meanings(cls: type) -> dict[str, str]:
    """Return the attributes that the docstrings of a class and its bases explain, each without its full stop."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        found |= _attributes(inspect.cleandoc(vars(each).get("__doc__") or ""))
    return found


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and meanings of the section `Attributes:` of a docstring."""
    names: Sequence[str] = ()
    words: list[str] = []
    for line in [*text.partition("\nAttributes:\n")[2].splitlines(), "end"]:
        start = _ATTRIBUTE.match(line)
        if start or not line.startswith("    "):  # an entry, or the end of the section, ends the one before
            yield from ((name, " ".join(words).removesuffix(".")) for name in names)
            names, words = (start[1].split(", "), [start[2]]) if start else ((), [])
        elif words:
            words.append(line.strip())


def described(cls: type) -> tuple[str, str]:
    """Return the first line of the docstring of a class, and the rest of it without the attributes."""
    first, _, rest = inspect.cleandoc(cls.__doc__ or "").partition("\n")
    return first, f"\n{rest}".partition("\nAttributes:")[0].strip("\n")


def as_toml(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {as_toml(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # as TOML has them: strings, numbers, true and false
