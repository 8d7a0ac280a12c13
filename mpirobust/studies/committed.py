"""The tables and the claims of a study as they are committed, and how they differ from what the runs say."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from mpirobust.errors import SetupFault
from mpirobust.files import read_csv
from mpirobust.numerics import blas
from mpirobust.studies.claims import DIGITS, counted

TOLERANCE = 1e-9  # relative, of a number in a table: other processors round otherwise

_UNCHECKED = {"seconds", "blas"}  # of a machine, not of a plan
_PLANNED = {"figure", "panel", "data", "curve", "code", "rule", "attack", "seed", "metric", "run", "plan", "set"}
_EXACT = {"rounds", "bytes_up", "byzantine_kept", "kept", "run"}  # of the columns that may read as numbers
_VERDICT = re.compile(r"\*\*.*?\*\*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Row: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A CSV file; `faults` are those of its form. One that cannot be read has no columns, and the reason as a fault."""

    path: Path
    columns: Sequence[str] = ()
    rows: Sequence[Row] = ()
    faults: Sequence[str] = ()

    @classmethod
    def read(cls, path: Path) -> Table:
        """Return the table at `path`."""
        try:
            cells = read_csv(path)
        except SetupFault as fault:
            return cls(path, faults=[str(fault)])
        if not cells:
            return cls(path, faults=[f"{path}: is empty"])
        head, *rows = cells
        faults = [f"{path}: two columns are called {name!r}" for name, times in Counter(head).items() if times > 1]
        faults += [
            f"{path}: {', '.join(row)!r} has {counted(len(row), 'cell')}, and the head {len(head)}"
            for row in rows
            if len(row) != len(head)
        ]
        return cls(path, head, [dict(zip(head, row, strict=False)) for row in rows], faults)

    def of_columns(self, found: Sequence[Row]) -> Iterator[str]:
        """Yield the columns that only this table has, or only the rows that were `found`."""
        if self.columns and found:
            yield from (f"{self.path}: has no column {name!r}" for name in found[0] if name not in self.columns)
            yield from (f"{self.path}: has a column {name!r} too many" for name in self.columns if name not in found[0])

    def of_rows(self, name: str, keys: Sequence[str], own: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
        """Yield the differences between the rows of one study, in any order: its `own`, and those `found` now.

        Of a run on other kernels of BLAS only what its plan says is compared.

        Args:
            keys: the columns that tell rows apart.
        """
        if not self.columns:
            return

        def key(row: Row) -> str:
            return ", ".join([name, *(row.get(each, "") for each in keys)])

        times = Counter(map(key, own))
        yield from (f"{where}: {n} times in the table that is committed" for where, n in times.items() if n > 1)
        there = {key(row): row for row in own}
        for row in found:
            old = there.pop(key(row), None)
            if old is None:
                yield f"{key(row)}: not in the table that is committed"
                continue
            for column in _differing(old, row):
                if column in _PLANNED or not other_kernels(old, row):
                    yield f"{key(row)}: {column} is {old[column]!r}, and {row[column]!r} by the run"
        yield from (f"{where}: in the table that is committed, and of no run of the families" for where in there)


def other_kernels(old: Row, new: Row) -> bool:
    """Return whether these rows of one run are of other kernels of BLAS."""
    return blas.differ(old.get("blas", ""), new.get("blas", ""))


def other_numbers(keys: Sequence[str], own: Sequence[Row], found: Sequence[Row]) -> int:
    """Return how many rows `found` have other numbers than their `own` ones, from other kernels of BLAS."""
    there = {tuple(row.get(each) for each in keys): row for row in own}
    pairs = ((there.get(tuple(row.get(each) for each in keys), {}), row) for row in found)
    return sum(other_kernels(old, row) and any(_differing(old, row)) for old, row in pairs)


def _differing(old: Row, new: Row) -> Iterator[str]:
    for column, value in new.items():
        if column in old and column not in _UNCHECKED and not _same(column, old[column], value):
            yield column


def _same(column: str, old: str, new: str) -> bool:
    if old == new:
        return True
    if column in _EXACT:
        return False
    try:
        return math.isclose(float(old), float(new), rel_tol=TOLERANCE)
    except ValueError:
        return False


@dataclass(frozen=True)
class Claims:
    """A file of claims, without blank lines; if it cannot be read, `fault` says why.

    Attributes:
        head: the lines before the first section.
        sections: by their titles; several may have one.
    """

    path: Path
    head: list[str] = field(default_factory=list)
    sections: defaultdict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    fault: str = ""

    @classmethod
    def read(cls, path: Path) -> Claims:
        """Return the claims at `path`."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            return cls(path, fault=f"{path}: cannot be read ({error})")
        claims = cls(path)
        lines = claims.head
        for line in filter(None, text.splitlines()):
            if line.startswith("## "):
                lines = []
                claims.sections[line.removeprefix("## ")].append(lines)
            lines.append(line)
        return claims

    def take(self, title: str) -> list[str]:
        """Return the lines of the first section of this title, and take it out; empty if there is none."""
        return self.sections[title].pop(0) if self.sections[title] else []

    def of_lines(
        self, name: str, old: Sequence[str], found: Sequence[str], same: Callable[[str, str], bool]
    ) -> Iterator[str]:
        """Yield the differences between `old` lines and those `found`, which may have line breaks and be blank.

        Args:
            same: `reads_as` or `judges_as`.
        """
        if self.fault:
            return
        new = [line for each in found for line in each.splitlines() if line]
        if len(old) != len(new):
            yield f"{name}: its section in {self.path.name} has {counted(len(old), 'line')}, and {len(new)} by the runs"
        for was, now in zip(old, new, strict=False):
            if not same(was, now):
                yield f"{name}: {self.path.name} says {was!r}, and the runs {now!r}"
                if len(old) != len(new):
                    return  # what follows has moved

    def strangers(self) -> Iterator[str]:
        """Yield the sections that were not taken out."""
        for title, left in self.sections.items():
            yield from (f"{self.path}: has a section {title!r} too many" for _ in left)


def reads_as(one: str, other: str) -> bool:
    """Return whether two lines are the same but for the last digit of numbers that are not whole."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(a == b or _near(a, b) for a, b in pairs)


def judges_as(one: str, other: str) -> bool:
    """Return whether two lines are the same, of two rows of tables only the first cells and the verdicts."""
    if not one.startswith("|") or not other.startswith("|"):
        return one == other
    return one.split("|")[1] == other.split("|")[1] and _VERDICT.findall(one) == _VERDICT.findall(other)


def _near(one: str, other: str) -> bool:
    """Return whether two numbers of `DIGITS` digits, zeros at the end left out, are a unit of the last one apart."""
    if one.lstrip("-").isdigit() and other.lstrip("-").isdigit():
        return False  # counts
    pair = Decimal(one), Decimal(other)
    unit = Decimal(1).scaleb(min(each.adjusted() for each in pair) - (DIGITS - 1))
    return all(pair) and abs(pair[0] - pair[1]) <= unit
