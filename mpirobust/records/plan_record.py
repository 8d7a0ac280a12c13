"""A plan as a run stores it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PlanRecord:
    """A plan as a run stores it, and the keys that may differ on resume.

    Attributes:
        table: the effective plan.
        free: the keys that may differ, as `--set` spells them.
        added: the keys that earlier versions did not store, with the value that corresponds to their behaviour.
        former: the keys that an earlier version stored under another name, with this name, dotted as well.
        sources: the SHA-256 of the source of each kind from outside the package, by its table.
    """

    table: Mapping[str, Any]
    free: Set[str]
    added: Mapping[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> str:
        """Return the part of the plan that a checkpoint depends on, as text, as earlier versions made it."""
        kept = [(key, value) for key, value in flat(self.table) if key not in self.free]
        older = [(key, value) for key, value in kept if key not in self.added or self.added[key] != value]
        return repr(sorted((self.former.get(key, key), value) for key, value in older))


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of a plan as `--set` spells them, each with its value."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value
