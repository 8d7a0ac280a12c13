"""The public names of mpirobust with their signatures, as text; `python -m tests.api.surface` writes the list."""

from __future__ import annotations

import dataclasses
import inspect
from enum import IntEnum
from pathlib import Path
from typing import Any

import mpirobust

LIST = Path(__file__).with_name("public.txt")

# Of a plan the keys are public, and these; its other methods are for the program.
_OF_PLAN = {"byzantine", "file", "table", "toml"}


def surface() -> list[str]:
    """Return a line for each public name, and for each public member of a public class."""
    return [line for name in sorted(mpirobust.__all__) for line in _lines(name, getattr(mpirobust, name))]


def _lines(name: str, it: Any) -> list[str]:
    if not inspect.isclass(it):
        return [_described(name, it)]
    bases = ", ".join(base.__name__ for base in it.__bases__ if base is not object)
    members = [f"{each.name} = {each.value}" for each in it] if issubclass(it, IntEnum) else _members(it)
    return [f"class {name}({bases})", *(f"    {member}" for member in sorted(members))]


def _members(cls: type) -> list[str]:
    """Return the fields of a class, and what it and its bases in this package define without an underscore in front."""
    found: dict[str, str] = {}
    for owner in cls.__mro__:
        if owner.__module__.startswith("mpirobust."):
            hints = inspect.get_annotations(owner)
            for name in {*vars(owner), *hints} - found.keys():
                found[name] = f"{name}: {hints[name]}" if name in hints else _described(name, vars(owner)[name])
    if dataclasses.is_dataclass(cls):
        del found["__init__"]  # it takes the fields
    for name in found.keys() - {"__call__", "__init__"}:
        if name.startswith("_"):
            del found[name]
    if cls is mpirobust.Plan:
        keys = {each.name for each in dataclasses.fields(mpirobust.Plan)}
        found = {name: line for name, line in found.items() if name in keys | _OF_PLAN}
    return list(found.values())


def _described(name: str, it: object) -> str:
    if isinstance(it, property) and it.fget:
        return f"{name}: {inspect.signature(it.fget).return_annotation}"
    if inspect.isfunction(it):
        return name + str(inspect.signature(it)).replace("'", "")
    return name


if __name__ == "__main__":
    LIST.write_text("\n".join(surface()) + "\n")
