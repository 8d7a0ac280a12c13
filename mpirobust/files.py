"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mpirobust.errors import StorageFault


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path`.

    A crash at any instant leaves the old file or the new one, because the data reach the disk
    before the name does: fsync, rename, fsync of the folder.

    Raises:
        StorageFault: the file cannot be written; `path` is as it was.
    """
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        scratch = Path(name)
        os.close(handle)
        scratch.chmod(0o666 & ~_umask())
        write(scratch)
        sync(scratch)
        scratch.replace(path)
        sync(path.parent)
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError if closing a file fails
        raise StorageFault(f"cannot write {path}: {_reason(error)}") from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def expect_writable(folder: Path) -> None:
    """Raise `StorageFault` unless files can be created in `folder`, or where it would be created."""
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise StorageFault(f"cannot write to {folder}: {_reason(error)}") from error


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows, the first of them the head, to the CSV file `path`; raises `StorageFault`."""

    def write(scratch: Path) -> None:
        with scratch.open("w", newline="") as file:
            csv.writer(file).writerows(rows)

    write_whole(path, write)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: Exception) -> str:
    """Return the message of the system, which HDF5 wraps in a long text."""
    number = getattr(error, "errno", None) or next(iter(re.findall(r"errno = (\d+)", str(error))), None)
    return os.strerror(int(number)) if number else str(error).partition("\n")[0]
