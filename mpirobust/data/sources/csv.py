from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpirobust.components import component
from mpirobust.data.reading import Check, text_blocks
from mpirobust.data.sources._files import FileSource
from mpirobust.data.sources.base import Places
from mpirobust.data.store import is_store, write_dense_store
from mpirobust.errors import DataFault

_DELIMITERS = (",", ";", "\t", "|", " ")
_MOST_COLUMNS = 2**24
_Lines = list[tuple[int, str]]  # with their numbers, from 1


@dataclass(frozen=True)
class _Layout:
    """The layout of a file, as its first lines show it.

    Attributes:
        names: of the columns; empty if there is no head.
    """

    delimiter: str
    columns: int
    label: int
    names: Sequence[str]


@component
class CSV(FileSource):
    """A row of numbers on each line, packed or not, with a head of names or without; or a store of it.

    `label` is the column of the labels: its name in the head, or its number, where 1 is the first column and -1 the
    last one. All other columns are features. Give either `split` (the share of the rows to train on, the rest is the
    test set) or `test` (a file of its own), or neither for no test set. With `targets = "classes"` the distinct labels
    in ascending order become 0, 1, ...

    Attributes:
        label: the column of the labels: its name in the head, or its number (1: the first, -1: the last).
        delimiter: what separates the columns (default: found out among , ; tab | and blank).
        header: whether the first line has names (default: found out).
    """

    label: str | int
    delimiter: str | None = None
    header: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label == 0:
            raise ValueError("label: the first column is 1, the last one -1")
        if isinstance(self.label, int) and abs(self.label) > _MOST_COLUMNS:
            raise ValueError(f"label: no file has {abs(self.label)} columns")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError("delimiter: expected one character")

    def prepare(self, places: Places) -> list[Path]:
        if self.test is not None:
            train, test = (self._files(places, test)[0] for test in (False, True))
            names, others = self._names(train), self._names(test)
            if names and others and names != others:
                raise DataFault(f"{test} has the columns {', '.join(others)}, {train} has {', '.join(names)}")
        return super().prepare(places)

    def _names(self, path: Path) -> Sequence[str]:
        """Return the names in the head of a file; nothing if there is none."""
        lines = [] if is_store(path) else next(_filled(path, lambda: None), [])
        return self._layout(path, lines).names if lines else []

    def _reading(self, width: int) -> str:
        return f"{self.label!r} {self.delimiter!r} {self.header}"

    def _write_store(self, store: Path, files: list[Path], width: int, check: Check) -> None:
        write_dense_store(store, *self.parse(files[0], check), str(files[0]))

    def parse(self, path: Path, check: Check) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the features, shape (n, d), and the labels, shape (n,); raise `DataFault` with line and reason."""
        layout, features, labels = None, [], []
        for lines in _filled(path, check):
            if layout is None:
                layout = self._layout(path, lines)
                lines = lines[bool(layout.names) :]
            if lines:
                numbers = _numbers(path, lines, layout)
                features.append(np.delete(numbers, layout.label, axis=1))
                labels.append(numbers[:, layout.label].copy())
        if not labels:
            raise DataFault(f"{path}: no rows")
        return np.concatenate(features), np.concatenate(labels)

    def _place(self, path: Path, row: int) -> str:
        layout = None
        for lines in _filled(path, lambda: None):
            if layout is None:
                layout = self._layout(path, lines)
                row += bool(layout.names)
            if row < len(lines):
                return f"line {lines[row][0]}"
            row -= len(lines)
        return super()._place(path, row)  # the file has changed meanwhile

    def _layout(self, path: Path, lines: _Lines) -> _Layout:
        delimiter = self.delimiter or _likely_delimiter([line for _, line in lines[:2]])
        first = _fields(lines[0][1], delimiter)
        names = first if self.header or (self.header is None and not all(map(_is_number, first))) else []
        if names:
            names[0] = names[0].removeprefix("#").lstrip()  # as numpy.savetxt writes its header
        label = self.label
        if isinstance(label, str):
            if names.count(label) != 1:
                found = f"the columns are: {', '.join(names)}" if names else "there is no head"
                raise DataFault(f"data.label: no column {label!r} in {path}, line {lines[0][0]}; {found}")
            at = names.index(label)
        else:
            at = label - 1 if label > 0 else label + len(first)
            if not 0 <= at < len(first):
                raise DataFault(f"data.label: no column {label} in {path}; line {lines[0][0]} has {len(first)}")
        if len(first) == 1:
            raise DataFault(f"{path}, line {lines[0][0]}: only one column; is data.delimiter = {delimiter!r} right?")
        return _Layout(delimiter, len(first), at, names)


def _filled(path: Path, check: Check) -> Iterator[_Lines]:
    """Yield the lines that are not empty, block by block."""
    before = 1
    for block in text_blocks(path, check):
        lines = block.decode("utf-8", "replace").split("\n")[:-1]
        filled = [(number, line) for number, line in enumerate(lines, before) if line and not line.isspace()]
        before += len(lines)
        if filled:
            yield filled


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:  # a field of over 100,000 characters
        return [line]


def _likely_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter of the first lines.

    It makes numbers of the last one, if any does; else it makes equally many fields of all; else the most fields.
    """

    def merits(delimiter: str) -> tuple[bool, bool, int]:
        rows = [_fields(line, delimiter) for line in lines]
        several = len(rows[-1]) > 1
        return several and all(map(_is_number, rows[-1])), several and len(rows[0]) == len(rows[-1]), len(rows[-1])

    return max(_DELIMITERS, key=merits)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _numbers(path: Path, lines: _Lines, layout: _Layout) -> NDArray[np.float64]:
    """Return the numbers of whole lines, shape (len(lines), columns); raise `DataFault` with line and reason."""
    delimiter = None if layout.delimiter == " " else layout.delimiter
    try:
        numbers = np.loadtxt((line for _, line in lines), delimiter=delimiter, quotechar='"', comments=None, ndmin=2)
        if numbers.shape == (len(lines), layout.columns) and np.isfinite(numbers).all():
            return numbers
    except ValueError:
        pass
    for number, line in lines:
        if reason := _reason(_fields(line, layout.delimiter), layout):
            raise DataFault(f"{path}, line {number}: {reason}")
    raise DataFault(f"{path}, lines {lines[0][0]} to {lines[-1][0]}: not a row of numbers on each line")


def _reason(fields: Sequence[str], layout: _Layout) -> str:
    """Return why the fields are no row; '' if they are one."""
    if len(fields) != layout.columns:
        return f"{len(fields)} columns; the first line has {layout.columns}"
    for at, field in enumerate(fields):
        if not (_is_number(field) and np.isfinite(float(field))):
            name = f" ({layout.names[at]})" if layout.names else ""
            what = f"{field[:40]!r} is no finite number" if field else "the field is empty"
            return f"column {at + 1}{name}: {what}"
    return ""
