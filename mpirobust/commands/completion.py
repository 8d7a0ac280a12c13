"""Shell completion: the offers for an argument that is not finished; everything is imported only when a shell asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from click import Context, Parameter

Completion: TypeAlias = Callable[[Context, Parameter, str], list[str]]


def _beginning(choices: Callable[[], Iterable[str]]) -> Completion:
    """Return a completion that offers those of the choices that go on from what is typed."""
    return lambda _context, _parameter, typed: [each for each in choices() if each.startswith(typed)]


def _tables() -> Iterable[str]:
    from mpirobust import catalog

    return [*catalog.ROOMS, *catalog.NESTED]


def _names() -> Iterable[str]:
    from mpirobust.guide.pages import names

    return names()


def _assignments() -> Iterable[str]:
    """Return a kind for every table, as `--set` takes it, and every key with what stands before its value."""
    from mpirobust import catalog
    from mpirobust.guide.keys import keys, rooms, sections

    for table, cls in sections().items():
        yield from (f"{table}.{key.name}=".removeprefix(".") for key in keys(cls) if not key.table)
    for table, room in rooms().items():
        kinds = catalog.kinds(room)
        yield from (f"{table}.kind={kind}" for kind in kinds)
        inside = (key for kind in kinds for key in keys(catalog.load(room, kind, table)))
        yield from dict.fromkeys(f"{table}.{key.name}=" for key in inside if not key.table)


def kinds_of(table: str) -> Completion:
    """Return a completion that offers the kinds of a table."""

    def kinds() -> Iterable[str]:
        from mpirobust import catalog
        from mpirobust.guide.keys import rooms

        return [*catalog.kinds(rooms()[table]), *catalog.offered(rooms()[table])]

    return _beginning(kinds)


tables = _beginning(_tables)
names = _beginning(_names)
assignments = _beginning(_assignments)
