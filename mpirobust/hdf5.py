"""The HDF5 files of mpirobust: whole or absent, and sealed, so that damage is found before the HDF5 library reads it.

The first 512 bytes are an HDF5 user block, which other programs skip. It holds the SHA-256 of everything after it.
This is a checksum and not a signature: a file from elsewhere may be sealed and hostile. So only plain arrays of
numbers are read, stored whole in this file, and memory is bounded by its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_SET, FileIO
from pathlib import Path
from typing import Any

import h5py

from mpirobust.errors import SetupFault
from mpirobust.files import open_regular, write_whole

# The exceptions of h5py and numpy for unexpected content.
_STRANGE = (AttributeError, IndexError, KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError)

_BLOCK = 512
_LEAD = b"mpirobust sha256 "


def write_sealed(path: Path, kind: str, format: int, fill: Callable[[Any], None]) -> None:
    """Let `fill` write into an open HDF5 file and put it at `path`; raises `StorageFault`."""

    def write(scratch: Path) -> None:
        with scratch.open("w+b", buffering=0) as raw:
            disk = _Disk(raw)
            with h5py.File(disk, "w", userblock_size=_BLOCK) as file:
                file.attrs.update(kind=kind, format=format)
                fill(file)
            if disk.error is not None:
                raise disk.error
        seal = _seal(scratch)
        with scratch.open("r+b") as raw:
            raw.write(seal)

    write_whole(path, write)


class _Disk:
    """A file that reports no failure to the HDF5 library, which ends the process by SIGSEGV if the disk is full.

    Attributes:
        error: the first failure, for the caller to raise; data written after it are lost.
    """

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def write(self, data: memoryview) -> int:
        rest = memoryview(data)
        try:
            while self.error is None and rest.nbytes:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.error = error
        if self.error is not None:
            self._raw.seek(rest.nbytes, SEEK_CUR)
        return memoryview(data).nbytes

    def truncate(self, size: int) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size) or b""

    def readinto(self, buffer: memoryview) -> int:
        return self._raw.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def flush(self) -> None:
        pass  # nothing is buffered


def open_sealed(path: Path, kind: str, format: int, verify: bool = True) -> Any:
    """Open a file of `write_sealed` for reading, without a lock: it never changes.

    Args:
        verify: compare the seal, which reads the whole file.

    Raises:
        SetupFault: no such file, not a regular one, damaged, not of this kind, of another format, or not plain.
    """
    try:
        open_regular(path).close()
        if verify and not _sealed(path):
            raise SetupFault(f"{path}: damaged, or not a {kind} of mpirobust (its checksum does not fit)")
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise SetupFault(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        with whole(path, kind):
            expect_plain(file, path.stat().st_size)
            found = (file.attrs.get("kind"), file.attrs.get("format", 0))
            if found != (kind, format):
                raise SetupFault(f"{path}: a {found[0]} of format {found[1]}; expected a {kind} of format {format}")
    except SetupFault:
        file.close()
        raise
    return file


@contextmanager
def whole(path: Path, kind: str) -> Iterator[None]:
    """Turn every exception of h5py or numpy over the content of `path`, raised inside, into one `SetupFault`."""
    try:
        yield
    except _STRANGE as error:
        raise SetupFault(f"{path}: not a whole {kind} ({error})") from error


def expect_plain(group: Any, nbytes: int, seen: set[int] | None = None) -> None:
    """Raise `ValueError` if anything below `group` is not as `write_sealed` writes it.

    Links may lead out of the file, external and virtual data are in other files, filters may be programs and
    unpack to any size, a declared shape need not be stored, and objects are not numbers.

    Args:
        nbytes: size of the file, which no array exceeds.
    """
    seen = set() if seen is None else seen
    _expect_plain_attributes(group)
    for name in group:
        if type(group.get(name, getlink=True)) is not h5py.HardLink:
            raise ValueError(f"{name} is a link")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise ValueError(f"{name} has another name as well")
        seen.add(address)
        if isinstance(item, h5py.Group):
            expect_plain(item, nbytes, seen)
        else:
            _expect_plain_array(item, nbytes)
            _expect_plain_attributes(item)


def _expect_plain_array(item: Any, nbytes: int) -> None:
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf" or item.shape is None:
        raise ValueError(f"{item.name} is no array of numbers")
    made = item.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count() or made.get_nfilters():
        raise ValueError(f"{item.name} is not stored plainly in this file")
    if item.nbytes > min(item.id.get_storage_size(), nbytes):
        raise ValueError(f"{item.name} is said to be larger than what is stored of it")


def _expect_plain_attributes(item: Any) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        text = h5py.check_string_dtype(attribute.dtype) is not None
        if attribute.shape != () or not (text or attribute.dtype.kind in "biuf"):
            raise ValueError(f"the attribute {name} is neither a number nor a text")
        if text:
            str(item.attrs[name]).encode()  # a text that is not Unicode could not be printed


def bears_lead(path: Path) -> bool:
    """Return whether the file at `path` begins as those of `write_sealed`, damaged or not; raise `OSError`."""
    with open_regular(path) as raw:
        return raw.read(len(_LEAD)) == _LEAD


def _sealed(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(len(_LEAD) + 64) == _seal(path)


def _seal(path: Path) -> bytes:
    with path.open("rb") as raw:
        raw.seek(_BLOCK)
        return _LEAD + hashlib.file_digest(raw, "sha256").hexdigest().encode()
