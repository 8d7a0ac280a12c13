"""Dataclasses of vectors and numbers as arrays by name, as checkpoints have them, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

_NUMBERS: dict[Any, tuple[int, str]] = {int: (0, "i"), float: (0, "f"), bool: (0, "b")}
_STORED = [np.dtype(each) for each in ("<f8", "<f4", "<i8", "?")]


def expect_storable(cls: type) -> None:
    """Raise `ValueError` unless every field of the dataclass is declared as a vector or a number."""
    for name, hint in get_type_hints(cls).items():
        if _declared_as(hint) is None:
            raise ValueError(f"{cls.__name__}.{name} is neither a vector, nor an int, a float or a bool")


def _declared_as(hint: Any) -> tuple[int, str] | None:
    """Return the number of dimensions and the kind of dtype in which a field is stored; None if it cannot be."""
    if (get_origin(hint) or hint) in (np.ndarray, NDArray):  # NDArray is an alias of its own since NumPy 2.5
        return 1, "f"
    return _NUMBERS.get(hint)


def arrays_of(value: Any) -> dict[str, NDArray[Any]]:
    """Return the fields of a storable dataclass as arrays; a number has no dimension."""
    hints, found = get_type_hints(type(value)), {}
    for each in fields(value):
        data, declared = np.asarray(getattr(value, each.name)), hints[each.name]
        found[each.name] = data.astype(declared) if declared in _NUMBERS else data
    return found


def read_fields(file: Any, group: str, cls: Any, length: int) -> Any:
    """Return an instance of the dataclass `cls`, whose vectors are of this length, or empty but for `x`.

    Args:
        file: has an array, or a dataset, for each field, in `<group>/<name>`.

    Raises:
        KeyError, ValueError: one is missing, or is of another type or length.
    """
    values, hints = {}, get_type_hints(cls)
    for each in fields(cls):
        name, value = f"{group}/{each.name}", file[f"{group}/{each.name}"][()]
        if (np.ndim(value), value.dtype.kind) != _declared_as(hints[each.name]) or value.dtype not in _STORED:
            raise ValueError(f"{name} is not of type {each.type}")
        if value.ndim and value.size != length and (value.size or each.name == "x"):
            raise ValueError(f"{name} is not of length {length}")
        values[each.name] = value if value.ndim else value.item()
    return cls(**values)
