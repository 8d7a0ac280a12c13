"""Checks of what the public functions are given; each fault names the argument."""

from __future__ import annotations

import os
from collections.abc import Iterable
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpirobust.errors import PlanFault
from mpirobust.files import expanded
from mpirobust.numerics.given import real


def path(given: object, argument: str) -> Path:
    """Return a path with its `~` expanded; raise `PlanFault` if `given` is none."""
    if not isinstance(given, str | os.PathLike):
        raise PlanFault(argument, f"expected a path, not {given!r}")
    try:
        return expanded(os.fsdecode(given))
    except ValueError as error:
        raise PlanFault(argument, str(error)) from error


def whole(given: object, argument: str, least: int = 0) -> int:
    """Return a whole number; raise `PlanFault` if `given` is none, less than `least`, or longer than 63 bits."""
    if not (isinstance(given, int | np.integer) and least <= given < 2**63):
        raise PlanFault(argument, f"expected a whole number of at least {least}, not {given!r}")
    return int(given)


def shape(given: Any) -> tuple[int, ...]:
    """Return the shape of an array with something in it, from its sides or its one side; raise `PlanFault`."""
    try:
        sides = tuple(index(side) for side in (given if isinstance(given, Iterable) else (given,)))
    except TypeError as error:
        raise PlanFault("shape", f"expected whole numbers, not {given!r}") from error
    if min(sides, default=1) < 1:
        raise PlanFault("shape", f"expected that of an array with something in it, not {given!r}")
    return sides


def finite(given: ArrayLike) -> NDArray[np.float64]:
    """Return an array of finite real numbers, at least one, as float64 in C order; raise `PlanFault` for another."""
    array = real(given, "array")
    if not array.size or not np.isfinite(array).all():
        raise PlanFault("array", "expected finite numbers, at least one")
    return array


def content(given: Any) -> bytes:
    """Return the bytes of a message; raise `PlanFault` if `given` has none."""
    try:
        return memoryview(given).tobytes()
    except TypeError as error:
        raise PlanFault("message", f"expected bytes, not {type(given).__name__}") from error
