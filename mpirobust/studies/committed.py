"""The tables and the claims of a study as they are committed, and how they differ from what the runs say."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
# What the plan of a run says, on any processor.
_PLANNED = {"figure", "panel", "data", "curve", "code", "rule", "attack", "seed", "metric", "run", "plan", "set"}
_EXACT = {"rounds", "bytes_up", "byzantine_kept", "kept", "run"}  # of the columns that may read as numbers
_VERDICT = re.compile(r"\*\*.*?\*\*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")

Row: TypeAlias = Mapping[str, str]


class Rounded(str):
    """A difference that other kernels or another version of BLAS explain: it is told, and is none of what is tested."""

    __slots__ = ()


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

        Runs on other kernels of BLAS have to be of the same plans; those with other numbers are one `Rounded`.

        Args:
            keys: the columns that tell rows apart.
        """
        if not self.columns:
            return

        def key(row: Row) -> str:
            return ", ".join([name, *(row.get(each, "") for each in keys)])

        times = Counter(map(key, own))
        yield from (f"{where}: {n} times in the table that is committed" for where, n in times.items() if n > 1)
        there, rounded = {key(row): row for row in own}, {}
        for row in found:
            old = there.pop(key(row), None)
            if old is None:
                yield f"{key(row)}: not in the table that is committed"
                continue
            columns = [column for column in row if column in old and not _same(column, old[column], row[column])]
            excused = set(columns) - _PLANNED if _other_kernels(old, row) else set()
            for column in columns:
                if column not in excused:
                    yield f"{key(row)}: {column} is {old[column]!r}, and {row[column]!r} by the run"
            if excused:
                rounded[key(row)] = (old, row)
        yield from (f"{where}: in the table that is committed, and of no run of the families" for where in there)
        if rounded:
            yield Rounded(f"{name}: {_as_one(rounded, len(found))}")


def _other_kernels(old: Row, new: Row) -> bool:
    return blas.differ(old.get("blas", ""), new.get("blas", ""))


def _as_one(rounded: Mapping[str, tuple[Row, Row]], count: int) -> str:
    """Return what is said of the pairs of rows that have other numbers, by their names, of `count` rows in all."""
    apart = {
        (where, column): _apart(old[column], new[column])
        for where, (old, new) in rounded.items()
        for column in new
        if column in old and column not in _EXACT | _UNCHECKED | _PLANNED
    }
    most = max(apart, key=apart.__getitem__, default=None)
    size = f"; {most[1]} by up to {apart[most]:.1%} of the larger, {most[0]}" if most else ""
    ended = sum(old.get("status") != new.get("status") for old, new in rounded.values())
    ends = f"; {ended} ended with another status" if ended else ""
    old, new = next(iter(rounded.values()))
    count_of = f"{len(rounded)} of {counted(count, 'run')}"
    return f"{count_of} on {new['blas']} have other numbers than those on {old['blas']}{size}{ends}"


def _apart(old: str, new: str) -> float:
    """Return the distance of two numbers in units of the larger one; 0 for what is no number."""
    try:
        one, other = float(old), float(new)
    except ValueError:
        return 0.0
    if one == other:
        return 0.0
    larger = max(abs(one), abs(other))
    return abs(one - other) / larger if math.isfinite(larger) else math.inf


def _same(column: str, old: str, new: str) -> bool:
    if old == new or column in _UNCHECKED:
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

    def of_lines(self, name: str, old: Sequence[str], found: Sequence[str], rounded: bool = False) -> Iterator[str]:
        """Yield the differences between `old` lines and those `found`, which may have line breaks and be blank.

        Args:
            rounded: whether runs behind them have other numbers from other kernels of BLAS: lines that come to the same
                verdict are then `Rounded`.
        """
        if self.fault:
            return
        new = [line for each in found for line in each.splitlines() if line]
        if len(old) != len(new):
            yield f"{name}: its section in {self.path.name} has {counted(len(old), 'line')}, and {len(new)} by the runs"
        for was, now in zip(old, new, strict=False):
            if not reads_as(was, now):
                said = f"{name}: {self.path.name} says {was!r}, and the runs {now!r}"
                yield Rounded(said) if rounded and judges_as(was, now) else said
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
    """Return whether two rows of tables say the same but for numbers: the first cells and the verdicts, if any."""
    cells = one.split("|"), other.split("|")
    rows = one.startswith("|") and len(cells[0]) == len(cells[1]) and all(map(_NUMBER.search, (one, other)))
    return rows and cells[0][1] == cells[1][1] and _VERDICT.findall(one) == _VERDICT.findall(other)


def _near(one: str, other: str) -> bool:
    """Return whether two numbers of `DIGITS` digits, zeros at the end left out, are a unit of the last one apart."""
    if one.lstrip("-").isdigit() and other.lstrip("-").isdigit():
        return False  # counts
    pair = Decimal(one), Decimal(other)
    unit = Decimal(1).scaleb(min(each.adjusted() for each in pair) - (DIGITS - 1))
    return all(pair) and abs(pair[0] - pair[1]) <= unit
