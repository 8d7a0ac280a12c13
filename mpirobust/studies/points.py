"""The points of a sweep: the product of the values that the command line gives for some keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from mpirobust.errors import PlanFault, SetupFault
from mpirobust.files import printable
from mpirobust.toml import read_assignment

MOST_POINTS = 10_000  # the plan of each is read before the first run begins
_DIGITS = 6  # of a value of a range: 0.1..0.5:lin5 has 0.3, as one would write it

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(lin|log)(\d+))?")
_OPENING, _CLOSING, _QUOTES = "[{", "]}", "\"'"


@dataclass(frozen=True)
class Axis:
    """A key, and the values that it takes, as text that `--set` takes after the `=`; at least one."""

    key: str
    values: tuple[str, ...]

    def assignments(self) -> list[str]:
        """Return the assignments, as `--set` takes them."""
        return [f"{self.key}={value}" for value in self.values]


def axes(over: Sequence[str], overrides: Sequence[str]) -> list[Axis]:
    """Return the axes that `--over` gives.

    Args:
        over: `key=value,value,...`; see docs/STUDIES.md for the values.
        overrides: those of `--set`, which name other keys.

    Raises:
        SetupFault: a text is no axis, a key is given twice, or the points are too many.
    """
    found = [_axis(text) for text in over]
    fixed = {".".join(_read(each)[0]) for each in overrides}
    keys = [axis.key for axis in found]
    for key in keys:
        if keys.count(key) > 1:
            raise SetupFault(f"--over {key} is given twice; one --over has all values of a key, separated by commas")
        if key in fixed:
            raise SetupFault(f"{key} is given by --over and by --set; give one of the two")
    count = prod(len(axis.values) for axis in found)
    _expect_few(count, " x ".join(f"{len(axis.values)} of {axis.key}" for axis in found))
    return found


def points(of: Sequence[Axis]) -> Iterator[tuple[str, ...]]:
    """Yield the assignments of each point, one for each axis; the last axis varies fastest."""
    yield from product(*(axis.assignments() for axis in of))


def value_of(assignment: str) -> Any:
    """Return the value of `key=value`, as the plan has it."""
    return _read(assignment)[1]


def _axis(text: str) -> Axis:
    key, equals, listed = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise SetupFault(f"--over {printable(text)}: expected key=values, as in attack.alpha=0.1,0.2 or seed=0..19")
    parts = [part.strip() for part in _split(listed)]
    if not all(parts):
        raise SetupFault(f"--over {printable(text)}: a value is missing; an empty text is written ''")
    axis = Axis(key, tuple(value for part in parts for value in _values(key, part)))
    for assignment in axis.assignments():
        _read(assignment)
    return axis


def _read(assignment: str) -> tuple[list[str], Any]:
    try:
        return read_assignment(assignment)
    except PlanFault as fault:
        raise SetupFault(str(fault)) from fault


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas that are in no brackets and no quotes."""
    begun, depth, quote = 0, 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter == "," and depth == 0:
            yield text[begun:at]
            begun = at + 1
        depth += 0 if quote else (letter in _OPENING) - (letter in _CLOSING)
    yield text[begun:]


def _values(key: str, part: str) -> list[str]:
    """Return the values of a range, or the one value that `part` is."""
    match = _RANGE.fullmatch(part)
    if match is None:
        return [part]
    first, last, how, number = match.groups()
    whole = all(re.fullmatch(r"[-+]?\d+", end) for end in (first, last))
    low, high = float(first), float(last)
    if how is None:
        if not whole:
            raise SetupFault(f"--over {key}={part}: say how many values, as in {part}:lin5 or {part}:log5")
        if int(last) < int(first):
            raise SetupFault(f"--over {key}={part}: the range is empty; the smaller number comes first")
        _expect_few(int(last) - int(first) + 1, f"{key}={part}")
        return [str(value) for value in range(int(first), int(last) + 1)]
    if int(number) < 2 or low == high or not np.isfinite([low, high]).all():
        raise SetupFault(f"--over {key}={part}: expected two different ends, and two values at the least")
    if how == "log" and min(low, high) <= 0:
        raise SetupFault(f"--over {key}={part}: a logarithmic range has positive ends")
    _expect_few(int(number), f"{key}={part}")
    spaced = (np.geomspace if how == "log" else np.linspace)(low, high, int(number))
    return [_written(value, whole) for value in spaced.tolist()]


def _written(value: float, whole: bool) -> str:
    """Return a value of a range as text, with few digits, or as a whole number if it is one and may be."""
    nearest = round(value)
    if whole and abs(value - nearest) <= 1e-12 * abs(value):
        return str(nearest)
    return repr(float(f"{value:.{_DIGITS}g}"))


def _expect_few(count: int, what: str) -> None:
    if count > MOST_POINTS:
        raise SetupFault(f"--over: {count:,} points ({what}) are more than {MOST_POINTS:,}; split the sweep")
