"""The kind of a file of data, found by its content."""

from __future__ import annotations

import re
from pathlib import Path

from mpirobust.data.reading import opened, text_blocks
from mpirobust.errors import DataFault

_ROW_OF_LIBSVM = re.compile(rb"[^\s:]+([ \t]+\d+:[ \t]*[^\s:]+)+[ \t]*(#.*)?")
_DELIMITERS = re.compile(rb"[,;|\t ]+")
_NUMBER = re.compile(rb"\"?[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\"?")
_COMMENT = re.compile(rb"[ \t]*(#.*)?")
_FIRST = 100  # lines that are looked at
_STARTS = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz", b"\0\0\x08": "mnist"}


def recognised(path: Path) -> tuple[str, Path]:
    """Return the kind of `[data]` that reads what is at `path`, and its `path`: for one of MNIST's files the folder.

    Raises:
        DataFault: it cannot be read, or is none of the kinds.
    """
    if path.is_dir():
        if any(path.glob("train-images*")):
            return "mnist", path
        raise DataFault(f"{path}: a folder, but not one of the four files of MNIST")
    from mpirobust.data.store import is_store  # h5py, which a download does not need

    if is_store(path):
        return "libsvm", path  # as good as any kind of files: all of them read any store
    kind = kind_of(path)
    return kind, path.parent if kind == "mnist" else path


def kind_of(path: Path) -> str:
    """Return the kind of `[data]` that reads the file at `path`.

    LIBSVM text is known by a row `label index:value ...` among its first lines; CSV by a number beside another field,
    in each of them but the head.

    Raises:
        DataFault: it cannot be read, or is none of the kinds.
    """
    with opened(path) as (content, *_):
        lead = content.read(6)
    for start, kind in _STARTS.items():
        if lead.startswith(start):
            return kind
    block = next(text_blocks(path, lambda: None), b"")
    lines = [line for line in block.split(b"\n")[:_FIRST] if not _COMMENT.fullmatch(line)]
    if any(map(_ROW_OF_LIBSVM.fullmatch, lines)):
        return "libsvm"
    if lines and not lines[0].startswith(b"<") and all(map(_is_row_of_csv, lines[len(lines) > 1 :])):
        return "csv"
    raise DataFault(f"{path}: no kind of data file is known by its first lines")


def _is_row_of_csv(line: bytes) -> bool:
    fields = _DELIMITERS.split(line.strip())
    return len(fields) > 1 and any(map(_NUMBER.fullmatch, fields))
