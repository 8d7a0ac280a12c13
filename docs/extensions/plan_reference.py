"""The directives of the reference of plans: every kind and key, as the classes of the package declare them.

```{kinds} aggregator            the kinds of a table of the plan, each with its docstring and keys
```{keys} mpirobust.plan:Plan    the keys of one class that have no kinds of their own
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from mpirobust import catalog
from mpirobust.components import is_component, wanted

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

ROOMS = {**catalog.ROOMS, **catalog.NESTED}
_TABLES = {room.package: table for table, room in ROOMS.items()}
_QUOTED = re.compile(r"'([^']*)'")


def kinds_of(table: str) -> str:
    """Return the part of the page about the kinds of a table, as Markdown."""
    room = ROOMS[table]
    return "\n".join(_of_kind(kind, catalog.load(room, kind, table)) for kind in catalog.kinds(room))


def keys_of(cls: type) -> str:
    """Return the table of the keys of a class, as Markdown; those that hold a component of a room are left out."""
    rows = [*_rows(cls)]
    shown = slice(None) if any(row[-1] for row in rows) else slice(3)  # the last column only if it says something
    lines = (f"| {' | '.join(_cell(each) for each in row[shown])} |" for row in rows)
    return "\n".join([*_HEAD[shown.stop is not None], *lines, ""]) if rows else "It has no keys.\n"


_HEAD = (
    ["| key | value | default | meaning |", "| --- | --- | --- | --- |"],
    ["| key | value | default |", "| --- | --- | --- |"],
)


def _of_kind(kind: str, cls: type) -> str:
    text, _, _ = (inspect.getdoc(cls) or "").partition("\nAttributes:")
    nested = [
        f"`{key}` is a table with a [kind of its own](#{_TABLES[room.package].replace('.', '')}).\n"
        for key, room in catalog.inner_rooms(cls).items()
    ]
    return "\n".join([f"### `{kind}`\n", f"{text.strip()}\n", keys_of(cls), *nested])


def _rows(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, allowed values, default and meaning."""
    hints, default = get_type_hints(cls, include_extras=True), catalog.defaults(cls)
    for each in fields(cls):
        if each.name not in catalog.inner_rooms(cls) and not is_component(hints[each.name]):
            empty = "must be given" if each.default_factory is MISSING else "empty"
            shown = {"": empty, "-": "none"}.get(default[each.name], f"`{default[each.name]}`")
            allowed = _QUOTED.sub(r'`"\1"`', wanted(hints[each.name]))
            yield f"`{each.name}`", allowed, shown, _meaning(cls, each.name, hints[each.name])


def _meaning(cls: type, key: str, hint: Any) -> str:
    """Return what a key means: its declaration says it, or the docstring of its class under "Attributes:"."""
    if get_origin(hint) is Annotated:
        for meta in get_args(hint)[1:]:
            if description := getattr(meta, "description", None):
                return str(description)
    _, _, listed = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    said: dict[str, str] = {}
    for line in inspect.cleandoc(listed).splitlines():
        name, colon, rest = line.partition(": ")
        if colon and name.isidentifier():
            said[name] = rest
        elif said:
            said[[*said][-1]] += f" {line.strip()}"
    return said.get(key, "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


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
