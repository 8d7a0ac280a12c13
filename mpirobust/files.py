"""Files: those that are written appear whole or not at all, and only a regular file is read or replaced."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from mpirobust.errors import SetupFault, StorageFault


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path`.

    A crash at any instant leaves the old file or the new one, because the data reach the disk
    before the name does: fsync, rename, fsync of the folder. The new file has the permissions of the old one, and its
    group if this user may give it. A link is replaced, and what it points to stays as it is.

    Raises:
        SetupFault: there is something else than a file at `path`.
        StorageFault: the file cannot be written; `path` is as it was.
    """
    import tempfile

    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        old = _replaceable(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        scratch = Path(name)
        os.close(handle)
        write(scratch)
        if old is not None:
            with suppress(OSError):
                os.chown(scratch, -1, old.st_gid)
        scratch.chmod(0o666 & ~_umask() if old is None else old.st_mode & 0o777)
        sync(scratch)
        scratch.replace(path)
        sync(path.parent)
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError if closing a file fails
        raise StorageFault(f"cannot write {path}: {_reason(error)}") from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _replaceable(path: Path) -> os.stat_result | None:
    """Return the state of the file at `path`; None if there is none, or a link. Raise `SetupFault` for all else."""
    try:
        old = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(old.st_mode):
        return None
    if not stat.S_ISREG(old.st_mode):
        raise SetupFault(f"cannot write {path}: it is not a regular file")
    return old


def expect_writable(folder: Path) -> None:
    """Raise `StorageFault` unless files can be created in `folder`, or where it would be created."""
    import tempfile

    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise StorageFault(f"cannot write to {folder}: {_reason(error)}") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, what is no letter escaped; raises as `write_whole`."""

    def write(scratch: Path) -> None:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")

    write_whole(path, write)


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows, the first of them the head, to the CSV file `path`, in UTF-8; raises as `write_whole`."""
    import csv

    def write(scratch: Path) -> None:
        with scratch.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            csv.writer(file).writerows(rows)

    write_whole(path, write)


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows with the same columns, in their order, to the CSV file `path`; raises as `write_whole`."""
    write_csv(path, [list(rows[0]), *(list(row.values()) for row in rows)])


def read_csv(path: Path) -> list[list[str]]:
    """Return the cells of the CSV file at `path`, the head first; raise `SetupFault` if it cannot be read."""
    import csv

    try:
        with open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            return [row for row in csv.reader(text) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise SetupFault(f"{path}: cannot be read ({error})") from error


def open_regular(path: Path) -> BinaryIO:
    """Open the file at `path`, or at the end of a link, for reading.

    Raises:
        OSError: it cannot be read, or is not a regular file: from a pipe or a device, one could wait for ever.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def expanded(name: str) -> Path:
    """Return the path `name`, a leading `~` replaced by the home folder, for where no shell has done so.

    Raises:
        ValueError: there is no name, or no home folder.
    """
    if not name:
        raise ValueError("expected a path, not an empty text")
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{name}: no such home folder is known") from error


def printable(name: str) -> str:
    """Return the text of an argument or a path as Unicode; bytes that are no UTF-8 become \\xhh."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


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
