"""Dataclasses of vectors and numbers as arrays by name, as checkpoints have them, and back."""

from __future__ import annotations

from dataclasses import fields
from math import prod
from typing import Annotated, Any, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from mpirobust.types import of_workers

_NUMBERS: dict[Any, tuple[tuple[str, ...], str]] = {int: ((), "i"), float: ((), "f"), bool: ((), "b")}
_STORED = [np.dtype(each) for each in ("<f8", "<f4", "<i8", "?")]


def expect_storable(cls: type) -> None:
    """Raise `ValueError` unless every field of the dataclass is declared as a vector or a number."""
    for name, hint in _hints(cls).items():
        if _declared_as(hint) is None:
            raise ValueError(f"{cls.__name__}.{name} is neither a vector, nor an int, a float or a bool")


def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _declared_as(hint: Any) -> tuple[tuple[str, ...], str] | None:
    """Return the axes and the kind of dtype in which a field is stored; None if it cannot be."""
    if of_workers(hint):
        return hint.__metadata__, "f"
    if get_origin(hint) is Annotated:
        return _declared_as(hint.__origin__)
    if (get_origin(hint) or hint) in (np.ndarray, NDArray):  # NDArray is an alias of its own since NumPy 2.5
        return ("dim",), "f"
    return _NUMBERS.get(hint)


def nbytes_of(cls: type, length: int, workers: int) -> int:
    """Return how many bytes an instance of a storable dataclass has, with vectors of this length."""
    axes = [(_declared_as(hint) or ((), ""))[0] for hint in _hints(cls).values()]
    return 8 * sum(prod({"workers": workers, "dim": length}[axis] for axis in each) for each in axes)


def arrays_of(value: Any) -> dict[str, NDArray[Any]]:
    """Return the fields of a storable dataclass as arrays; a number has no dimension."""
    hints, found = _hints(type(value)), {}
    for each in fields(value):
        data, declared = np.asarray(getattr(value, each.name)), hints[each.name]
        found[each.name] = data.astype(declared) if declared in _NUMBERS else data
    return found


def read_fields(file: Any, group: str, cls: Any, length: int, workers: int) -> Any:
    """Return an instance of the dataclass `cls`, whose vectors are of this length, or empty but for `x`.

    Args:
        file: has an array, or a dataset, for each field, in `<group>/<name>`.
        workers: m, for what the class has of each worker.

    Raises:
        KeyError, ValueError: one is missing, or is of another type or length.
    """
    values, hints, sizes = {}, _hints(cls), {"workers": workers, "dim": length}
    for each in fields(cls):
        name, value = f"{group}/{each.name}", file[f"{group}/{each.name}"][()]
        axes, kind = _declared_as(hints[each.name]) or ((), "")
        if (np.ndim(value), value.dtype.kind) != (len(axes), kind) or value.dtype not in _STORED:
            raise ValueError(f"{name} is not of type {each.type}")
        shape = tuple(sizes[axis] for axis in axes)
        if value.shape != shape and (axes != ("dim",) or value.size or each.name == "x"):
            raise ValueError(f"{name} is not of {f'length {shape[0]}' if len(shape) == 1 else f'shape {shape}'}")
        values[each.name] = value if value.ndim else value.item()
    return cls(**values)
