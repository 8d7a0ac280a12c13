"""The directives of the reference of plans: every kind and key, as the classes of the package declare them.

```{kinds} aggregator            the kinds of a table of the plan, each with its docstring and keys
```{keys} mpirobust.plan:Plan    the keys of one class that have no kinds of their own
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from mpirobust import catalog
from mpirobust.components import wanted
from mpirobust.guide.keys import Key, as_toml, described, keys, rooms

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_QUOTED = re.compile(r"'([^']*)'")


def kinds_of(table: str) -> str:
    """Return the part of the page about the kinds of a table, as Markdown."""
    room = rooms()[table]
    return "\n".join(_of_kind(kind, catalog.load(room, kind, table)) for kind in catalog.kinds(room))


def keys_of(cls: type) -> str:
    """Return the table of the keys of a class, as Markdown; those that hold a table are left out."""
    rows = [_row(key) for key in keys(cls) if not key.table]
    if not rows:
        return "It has no keys.\n"
    table = [("key", "meaning", "value", "default"), ("---",) * 4, *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def _of_kind(kind: str, cls: type) -> str:
    first, rest = described(cls)
    nested = [
        f"`{key.name}` is a table with a [kind of its own](#{key.table.replace('.', '')}).\n"
        for key in keys(cls)
        if key.table
    ]
    return "\n".join([f"### `{kind}`\n", f"{first}\n{rest}\n", keys_of(cls), *nested])


def _row(key: Key) -> tuple[str, str, str, str]:
    """Return key, meaning, allowed values and default: on a phone the first two are seen without scrolling."""
    default = "must be given" if key.required else "none" if key.default is None else f"`{as_toml(key.default)}`"
    allowed = _QUOTED.sub(r'`"\1"`', wanted(key.hint))
    return f"`{key.name}`", key.meaning.replace("|", "\\|"), allowed, default


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
