from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpirobust import kernels
from mpirobust.components import Field, component
from mpirobust.data.reading import Check, text_blocks
from mpirobust.data.sources._files import FileSource
from mpirobust.data.sources.base import Dataset
from mpirobust.data.store import write_csr_store
from mpirobust.data.table import RowFault
from mpirobust.errors import DataFault
from mpirobust.kernels.svmlight import DECIMAL

_MOST_BELIEVED = 2**24  # features: one damaged index may ask for vectors of any length
_LARGEST = 2**31 - 1  # index, as LIBSVM stores them


@component
class LibSVM(FileSource):
    """LIBSVM text (`label index:value ...`, indices from 1), packed or not, or a store of it (Chang & Lin 2011).

    Give either `split` (the share of the rows to train on, the rest is the test
    set) or `test` (a file of its own), or neither for no test set. With
    `targets = "classes"` the distinct labels in ascending order become 0, 1, ...

    Attributes:
        features: d, the numbers in a row (default: the largest index in the files).
    """

    features: Annotated[int, Field(gt=0, lt=2**32)] | None = None

    def open(self, stores: list[Path], seed: int) -> Dataset:
        with ExitStack() as opened:
            dataset = opened.enter_context(closing(super().open(stores, seed)))
            found = dataset.facts.features
            if self.features not in (None, found):
                asked = f"data.features: {self.features} asked for"
                raise DataFault(f"{asked}, {' or '.join(map(str, stores))} has {found}")
            if self.features is None and found > _MOST_BELIEVED:
                raise DataFault(f"{stores[0]} has {found} features; if that is meant, say data.features = {found}")
            opened.pop_all()
            return dataset

    def _reading(self, width: int) -> str:
        return str(self.features or width or None)

    def _write_store(self, store: Path, files: list[Path], width: int, check: Check) -> None:
        write_csr_store(store, *parse(files[0], self.features, width, check), str(files[0]))

    def _place(self, path: Path, row: int) -> str:
        before = rows = 0
        for block in _plain_blocks(path, lambda: None):
            holds = _lines_with_rows(block)
            if row < rows + holds.size:
                return f"line {before + int(holds[row - rows]) + 1}"
            rows += holds.size
            before += block.count(_END)
        return super()._place(path, row)  # the file has changed meanwhile


class Matrix(NamedTuple):
    """Rows in CSR form: `indptr` (n + 1,) int64, `indices` (from 0) int32, `data` float64, `shape` (n, d)."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float64]
    shape: tuple[int, int]


_NUMBER = re.compile(DECIMAL)
_COMMENT = re.compile(rb"#[^\n]*")
_HEXADECIMAL = re.compile(
    rb"(?<![^ \t\n:])[-+]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][-+]?[0-9]+)?"
)
_END = b"\n"
_OTHER_BLANKS = bytes.maketrans(b"\v\f", b"  ")
_COLONS = bytes.maketrans(b":", b" ")

# Of some rows: labels (n,), numbers of features (n,), and one after another their indices, from 0, and values.
_Part = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]


def parse(path: Path, features: int | None, width: int, check: Check) -> tuple[Matrix, NDArray[np.float64]]:
    """Parse LIBSVM text.

    Args:
        features: the number of columns, which no index may exceed; None: the largest index.
        width: if `features` is None, the least number of columns.
        check: called before every piece.

    Returns:
        The rows, and their labels, shape (n,).

    Raises:
        DataFault: with file, line and reason; a `RowFault` if the line is not known.
    """
    parts, before = [], 0
    for block in _plain_blocks(path, check):
        parts.append(_parsed(block, path, before))
        before += block.count(_END)
    if not any(labels.size for labels, *_ in parts):
        raise DataFault(f"{path}: no rows")
    labels, counts, indices, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    indptr = np.concatenate(([0], np.cumsum(counts)))
    largest = int(indices.max()) + 1 if indices.size else 1
    if largest > (features or _MOST_BELIEVED):
        at = np.argmax(indices >= (features or largest - 1))
        reason = f"feature {indices[at] + 1}; if that is meant, say data.features = {largest}"
        if features:
            reason = f"feature {indices[at] + 1} is above data.features = {features}; the file needs {largest}"
        raise RowFault(str(path), int(np.searchsorted(indptr, at, side="right")) - 1, reason)
    return Matrix(indptr, indices, values, (labels.size, features or max(largest, width))), labels


def _plain_blocks(path: Path, check: Check) -> Iterator[bytes]:
    """Yield whole lines without comments, blanks other than space and tab, and hexadecimal numbers."""
    for block in text_blocks(path, check):
        if b"#" in block:
            block = _COMMENT.sub(b"", block)
        if b"\v" in block or b"\f" in block:
            block = block.translate(_OTHER_BLANKS)
        if b"x" in block or b"X" in block:
            block = _HEXADECIMAL.sub(_as_decimal, block)
        yield block


def _as_decimal(match: re.Match[bytes]) -> bytes:
    try:
        return repr(float.fromhex(match[0].decode())).encode()
    except OverflowError:
        return b"inf"


def _lines_with_rows(block: bytes) -> NDArray[np.intp]:
    return np.flatnonzero([bool(line.strip()) for line in block.split(_END)])


def _parsed(block: bytes, path: Path, before: int) -> _Part:
    """Return the rows of whole lines; raise `DataFault` with the line, of which `before` stand before the block.

    The grammar is checked first, so that the text without colons is numbers and blanks, and their order is known.
    """
    if (start := kernels.wrong_line(block)) < len(block):
        line = block[start : block.index(_END, start)]
        raise DataFault(f"{path}, line {before + block.count(_END, 0, start) + 1}: {_reason(line)}")
    if block.isspace():
        return np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
    numbers = np.fromstring(block.translate(_COLONS), sep=" ")
    text = np.frombuffer(block, np.uint8)
    colons, ends = np.flatnonzero(text == ord(":")), np.flatnonzero(text == ord(_END))
    lines = np.arange(ends.size)
    if numbers.size != ends.size + 2 * colons.size:
        lines = _lines_with_rows(block)
    counts = np.diff(np.searchsorted(colons, ends), prepend=0)[lines]
    stops = np.cumsum(counts)
    at = stops - counts + np.arange(counts.size) + (stops - counts)
    labels = numbers[at]
    indices, values = np.delete(numbers, at).reshape(-1, 2).T
    falls = np.diff(indices, prepend=0) <= 0
    falls[(stops - counts)[counts > 0]] = False
    for wrong, reason in (
        (np.flatnonzero(~np.isfinite(labels)), "the label is too large"),
        (_rows(stops, ~np.isfinite(values)), "a value is too large"),
        (_rows(stops, indices < 1), "there is a feature 0; the first one is 1"),
        (_rows(stops, indices > _LARGEST), f"the number of a feature is above {_LARGEST}"),
        (_rows(stops, falls), "the numbers of the features do not ascend"),
    ):
        if wrong.size:
            raise DataFault(f"{path}, line {before + lines[wrong[0]] + 1}: {reason}")
    return labels, counts, (indices - 1).astype(np.int32), values.copy()


def _rows(stops: NDArray[np.intp], wrong: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the rows, which end at `stops`, of the features for which `wrong` is true."""
    return np.searchsorted(stops, np.flatnonzero(wrong), side="right")


def _reason(line: bytes) -> str:
    """Return why a line is no row."""
    if b"\0" in line:
        return "this is no text"
    label, *features = re.sub(rb":[ \t]+", b":", line).split()
    if b":" in label:
        return f"no label before {_shown(label)}"
    if b"," in label and all(map(_NUMBER.fullmatch, label.split(b","))):
        return f"more than one label ({_shown(label)}); a row can have only one"
    if not _NUMBER.fullmatch(label):
        return f"the label {_shown(label)} is no finite number"
    for feature in features:
        index, colon, value = feature.partition(b":")
        if not colon:
            return f"{_shown(feature)} is not index:value"
        if index == b"qid":
            return "qid, as in data for ranking, is not supported; remove it"
        if not index.removeprefix(b"+").isdigit():
            return f"{_shown(index)} is not the number of a feature; the first one is 1"
        if not _NUMBER.fullmatch(value):
            return f"the value {_shown(value)} of feature {_shown(index)} is no finite number"
    return "this is not label index:value ..."


def _shown(text: bytes) -> str:
    return repr(text[:40]).removeprefix("b")
