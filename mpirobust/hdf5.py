"""HDF5 files of ours: whole or absent, and sealed, so that damage is found before the HDF5 library meets it.

The first 512 bytes are an HDF5 user block, which other programs skip. It holds the SHA-256 of all that follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import SEEK_CUR, SEEK_SET, FileIO
from pathlib import Path
from typing import Any

import h5py

from mpirobust.errors import SetupFault
from mpirobust.files import write_whole

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
    """A file that never fails in front of the HDF5 library, which ends the process by SIGSEGV where the disk is full.

    Attributes:
        error: the first thing that went wrong, for the caller to raise; what was written after it is lost.
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
        pass  # nothing is held back


def open_sealed(path: Path, kind: str, format: int, verify: bool = True) -> Any:
    """Open a file of `write_sealed` for reading.

    Args:
        verify: compare the seal, which reads the whole file.

    Raises:
        SetupFault: no such file, damaged, not of this kind, or of another format.
    """
    try:
        if verify and not _sealed(path):
            raise SetupFault(f"{path}: damaged, or not a {kind} of mpirobust (its checksum does not fit)")
        file = h5py.File(path, "r")
        found = (file.attrs.get("kind"), int(file.attrs.get("format", 0)))
    except OSError as error:
        raise SetupFault(f"{path}: cannot be read ({error.strerror or error})") from error
    if found != (kind, format):
        file.close()
        raise SetupFault(f"{path}: a {found[0]} of format {found[1]}; expected a {kind} of format {format}")
    return file


def _sealed(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(len(_LEAD) + 64) == _seal(path)


def _seal(path: Path) -> bytes:
    with path.open("rb") as raw:
        raw.seek(_BLOCK)
        return _LEAD + hashlib.file_digest(raw, "sha256").hexdigest().encode()
