"""The files of users: unpacked as they are read, in pieces, and every failure is a `DataFault` that names the file."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from mpirobust.errors import DataFault
from mpirobust.files import open_regular
from mpirobust.meter import Meter

Check = Callable[[], None]  # called between two pieces of a file; raises a `Fault` to end the reading

MOST_DEFLATED = 1032  # bytes that one byte can stand for (zlib's technical details)
_PIECE = 2**22  # bytes that are unpacked and parsed at a time

# By the first bytes, whatever the name says: the packing, what unpacks it, and how many bytes one byte can stand for.
_UNPACK: dict[bytes, tuple[str, Callable[[BinaryIO], object], int]] = {
    b"\x1f\x8b": ("gzip", gzip.open, MOST_DEFLATED),
    b"BZh": ("bzip2", bz2.open, 2**20),
    b"\xfd7zXZ\0": ("xz", lzma.open, 2**14),
}
_REFUSED = {
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"PK\x03\x04": "a zip archive",
}
_NOT_UTF8 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # that of UTF-32 LE begins as the first


class Opened(NamedTuple):
    """A file that is open for reading.

    Attributes:
        content: the file, unpacked.
        raw: the file as it is; its position tells how much is read.
        most: no content is believed to be longer, in bytes.
    """

    content: BinaryIO
    raw: BinaryIO
    most: int


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file for reading; it is unpacked if its first bytes are those of gzip, bzip2 or xz.

    Raises:
        DataFault: inside or outside of the block, if the file cannot be read or is not whole.
    """
    packed = ""
    try:
        with open_regular(path) as raw:
            lead = raw.read(6)
            raw.seek(0)
            size = os.fstat(raw.fileno()).st_size
            packed, unpack, most = next((how for at, how in _UNPACK.items() if lead.startswith(at)), ("", None, 1))
            if unpack is None:
                yield Opened(raw, raw, size)
            else:
                with cast(BinaryIO, unpack(raw)) as content:
                    yield Opened(content, raw, most * size)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if packed and getattr(error, "errno", None) is None:
            raise DataFault(f"{path}: not a whole {packed} file ({error})") from error
        raise DataFault(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def pieces(path: Path, check: Check) -> Iterator[bytes]:
    """Yield the content of a file piece by piece; raises `DataFault`."""
    with opened(path) as (content, raw, _), Meter(f"reading {path.name}", os.fstat(raw.fileno()).st_size) as meter:
        while piece := content.read(_PIECE):
            check()
            meter.at(raw.tell())
            yield piece


def text_blocks(path: Path, check: Check) -> Iterator[bytes]:
    r"""Yield a text in blocks of whole lines, each ended by one `\n`, without a byte-order mark.

    Lines may end in `\n`, `\r\n` or `\r`, and the last one need not end.

    Raises:
        DataFault: the file cannot be read, or is no text of one byte a character.
    """
    rest = b""
    for number, piece in enumerate(pieces(path, check)):
        text = rest + (piece if number else _without_mark(piece, path))
        cut = 1 + max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1))  # a last \r may be the half of \r\n
        rest = text[cut:]
        if cut:
            yield _ended(text[:cut])
    if rest:
        yield _ended(rest)


def _without_mark(piece: bytes, path: Path) -> bytes:
    if piece.startswith(_NOT_UTF8):
        raise DataFault(f"{path}: text in UTF-16 or UTF-32; store it as UTF-8")
    for lead, what in _REFUSED.items():
        if piece.startswith(lead):
            raise DataFault(f"{path}: {what}; unpack it first")
    return piece.removeprefix(codecs.BOM_UTF8)


def _ended(text: bytes) -> bytes:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text if text.endswith(b"\n") else text + b"\n"
