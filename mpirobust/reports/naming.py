"""Names of runs that stand beside each other: the keys in which their plans differ, and their folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_KIND = ".kind"


def differing(plans: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys in which the plans (key -> value) differ, by table, kind first; those of no table last."""
    keys = {key for plan in plans for key in plan}
    return sorted((key for key in keys if any(plan.get(key) != plans[0].get(key) for plan in plans)), key=_in_order)


def _in_order(key: str) -> tuple[bool, str, bool, str]:
    table = key.rpartition(".")[0]
    return (not table, table, not key.endswith(_KIND), key)


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return each key with a short name that no other has: `aggregator.kind` is `aggregator`, others are their end."""
    ends = {key: key.removesuffix(_KIND) if key.endswith(_KIND) else key.rpartition(".")[2] for key in keys}
    several = Counter(ends.values())
    return {key: key if several[end] > 1 else end for key, end in ends.items()}


def pairs(plan: Mapping[str, Any], short: Mapping[str, str]) -> str:
    """Return the values of the keys `short` as text; a table that the plan does not have is told, as `no attack`."""
    said = []
    for key, name in short.items():
        if key in plan:
            said.append(f"{name}={printed(plan[key])}")
        elif key.endswith(_KIND):
            said.append(f"no {name}")
    return ", ".join(said)


def printed(value: object) -> str:
    """Return a value of a plan or a summary as a short text; '' for None."""
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def folder_names(folders: Sequence[Path]) -> list[str]:
    """Return the last parts of the paths, as many as it takes to tell them apart."""
    parts = [folder.absolute().parts for folder in folders]
    longest = max(map(len, parts), default=1)
    for count in range(1, longest + 1):
        found = ["/".join(each[-count:]) for each in parts]
        if len(set(found)) == len(set(parts)):
            break
    return found if parts else []
