"""The directives of the reference of plans: every kind and key, as the classes of the package declare them.

```{kinds} aggregator            the kinds of a table of the plan, each with its docstring and keys
```{keys} mpirobust.plan:Plan    the keys of one class that have no kinds of their own
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from importlib import import_module
from typing import TYPE_CHECKING, get_type_hints

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from mpirobust import catalog
from mpirobust.components import is_component, wanted

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_ROOMS = {**catalog.ROOMS, **catalog.NESTED}
_TABLES = {room.package: table for table, room in _ROOMS.items()}
_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")
_QUOTED = re.compile(r"'([^']*)'")


def kinds_of(table: str) -> str:
    """Return the part of the page about the kinds of a table, as Markdown."""
    room = _ROOMS[table]
    return "\n".join(_of_kind(kind, catalog.load(room, kind, table)) for kind in catalog.kinds(room))


def keys_of(cls: type) -> str:
    """Return the table of the keys of a class, as Markdown; those that hold a component are left out."""
    rows = [*_rows(cls)]
    if not rows:
        return "It has no keys.\n"
    columns = 4 if any(row[3] for row in rows) else 3  # the last one only if it says something
    table = [("key", "value", "default", "meaning"), ("---",) * 4, *rows]
    return "".join(f"| {' | '.join(row[:columns])} |\n" for row in table)


def _of_kind(kind: str, cls: type) -> str:
    text, _, _ = (inspect.getdoc(cls) or "").partition("\nAttributes:")
    nested = [
        f"`{key}` is a table with a [kind of its own](#{_TABLES[room.package].replace('.', '')}).\n"
        for key, room in catalog.inner_rooms(cls).items()
    ]
    return "\n".join([f"### `{kind}`\n", f"{text.strip()}\n", keys_of(cls), *nested])


def _rows(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, allowed values, default and meaning."""
    hints, said = get_type_hints(cls, include_extras=True), _meanings(cls)
    for each in fields(cls):
        if each.name not in catalog.inner_rooms(cls) and not is_component(hints[each.name]):
            default = each.default if each.default_factory is MISSING else each.default_factory()
            shown = (
                "must be given"
                if default is MISSING
                else "none"
                if default in (None, {})
                else f"`{json.dumps(default)}`"
            )
            allowed = _QUOTED.sub(r'`"\1"`', wanted(hints[each.name]))
            yield f"`{each.name}`", allowed, shown, said.get(each.name, "").replace("|", "\\|")


def _meanings(cls: type) -> dict[str, str]:
    """Return what the docstring of a class says of its keys under "Attributes:"."""
    _, _, listed = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(listed).splitlines():
        if entry := _ENTRY.fullmatch(line):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


class Kinds(SphinxDirective):
    """All kinds of the table that is its argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes of `kinds_of`."""
        return self.parse_text_to_nodes(kinds_of(self.arguments[0]), allow_section_headings=True)


class Keys(SphinxDirective):
    """The keys of the class `module:Class` that is its argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes of `keys_of`."""
        module, _, name = self.arguments[0].partition(":")
        return self.parse_text_to_nodes(keys_of(getattr(import_module(module), name)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Give Sphinx the two directives."""
    app.add_directive("kinds", Kinds)
    app.add_directive("keys", Keys)
    return {"parallel_read_safe": True}
