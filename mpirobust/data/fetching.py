"""Download of the data sets of the catalogue: whole and right files or none, in the folder where plans look."""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mpirobust.data.catalogue import CATALOGUE, DataSet, Remote
from mpirobust.data.recognising import kind_of
from mpirobust.data.sources.base import Places
from mpirobust.data.transfer import Unreachable, download, start_anew
from mpirobust.errors import DataFault, SetupFault, StorageFault
from mpirobust.files import expect_writable, open_regular, write_whole
from mpirobust.terminal import say, tell


def data_set(name: str) -> DataSet:
    """Return a data set of the catalogue; raise `SetupFault`, with the names, if it is not there."""
    if name not in CATALOGUE:
        raise SetupFault(f"no data set {name!r} in the catalogue; choose one of: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def places_of(wanted: DataSet, places: Places) -> list[Path]:
    """Return where plans find the files, or would find them: below $MPIROBUST_DATA if it is set, else in the cache."""
    folders = [folder for folder in (places.data, places.cache) if folder]
    found = []
    for file in wanted.files:
        paths = [(folder / wanted.folder / file.name).absolute() for folder in folders]
        found.append(next((path for path in paths if path.exists()), paths[0]))
    return found


def fetch(wanted: DataSet, places: Places, mirror: str | None = None, overwrite: bool = False) -> list[Path]:
    """Return the files of a data set; those that plans do not find yet are downloaded.

    A download that broke off is continued. A file whose checksum the catalogue does not have is trusted when it is
    first seen; this checksum is kept in `NAME.sha256`, and every later download must have it.

    Args:
        mirror: the address of a folder that has the files, to be tried first.
        overwrite: replace a file that is not the right one.

    Raises:
        DataFault: a file is there and not the right one; or no mirror gives it, and the message says how to get it.
        StorageFault: it cannot be written.
        SetupFault: pooch is not installed.
    """
    mirrors = [*([mirror.rstrip("/")] if mirror else []), *wanted.mirrors]
    files = places_of(wanted, places)
    for file, path in zip(wanted.files, files, strict=True):
        if not (path.exists() and _is_right(file, path, overwrite)):
            try:
                _bring(file, path, mirrors, wanted.kind)
            except Unreachable as error:
                way_out = _by_hand(wanted, files, path)
                raise DataFault(f"{path.name} cannot be fetched\n{error}\n{way_out}") from error
    return files


def _by_hand(wanted: DataSet, files: Sequence[Path], failed: Path) -> str:
    lines = [
        f"  {wanted.mirrors[0]}/{file.name}\n    to {path}"
        for file, path in zip(wanted.files, files, strict=True)
        if path == failed or not path.exists()
    ]
    return "\n".join(["Without network, copy by hand", *lines, "and give this command again: it checks them."])


def _is_right(file: Remote, path: Path, overwrite: bool) -> bool:
    """Return whether it is the right file that is there; raise `DataFault` if not, unless it may be overwritten."""
    known = _known(file, path)
    try:
        open_regular(path).close()
        found = _checksum(path, known)
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror})") from error
    if known and found != known:
        if overwrite:
            return False
        raise DataFault(f"{path} is not the right file ({_apart(found, known)}); --overwrite replaces it")
    if not known:
        with suppress(StorageFault):  # in a folder that others look after
            _remember(path, found)
    tell(f"{path} is there already ({_said_of(found, file, known)})")
    return True


def _bring(file: Remote, path: Path, mirrors: Sequence[str], kind: str) -> None:
    """Download the file from the first mirror that gives it; raise `Unreachable`, with a line for each, if none."""
    try:
        expect_writable(path.parent)
    except StorageFault as fault:
        raise StorageFault(f"{fault}; $MPIROBUST_DATA names another folder") from fault
    known, reasons = _known(file, path), []
    part = path.with_name(f".{path.name}.part")
    with _alone(part) as content:
        for mirror in mirrors:
            url = f"{mirror}/{file.name}"
            tell(f"fetching {url}")
            try:
                download(url, content)
                found = _accepted(part, known, kind)
            except (Unreachable, DataFault) as fault:
                reasons.append(f"  {url}: {fault}")
                if isinstance(fault, DataFault):
                    start_anew(content)
                continue
            _publish(part, path)
            if not known:
                _remember(path, found)
            tell(f"wrote {path} ({path.stat().st_size:,} bytes; {_said_of(found, file, known)})")
            return
    raise Unreachable("\n".join(reasons))


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Open what there is of a download, to be continued; raise `StorageFault` if another process has it."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as content:
            _lock(content, part)
            yield content
    except KeyboardInterrupt:
        say(f"{part} is kept: the same command continues")
        raise
    except OSError as error:
        raise StorageFault(f"cannot write {part}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            if not part.stat().st_size:
                part.unlink()


def _lock(content: BinaryIO, part: Path) -> None:
    try:
        fcntl.flock(content, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageFault(f"{part}: another process is downloading it; wait for it") from error
    except OSError:  # a file system without locks
        pass


def _accepted(part: Path, known: str, kind: str) -> str:
    """Return the checksum of what was downloaded; raise `DataFault` if it is not the file that was asked for."""
    found = _checksum(part, known)
    if known and found != known:
        raise DataFault(f"another file than expected ({_apart(found, known)})")
    if not known and (other := kind_of(part)) != kind:  # as the page on which a network asks for a password
        raise DataFault(f"not a file of the kind {kind}, but {other}")
    return found


def _publish(part: Path, path: Path) -> None:
    def move(scratch: Path) -> None:
        part.replace(scratch)

    write_whole(path, move)


def _known(file: Remote, path: Path) -> str:
    """Return the checksum that the file must have; '' if none is known."""
    record = _record(path)
    if file.checksum:
        return file.checksum
    try:
        text = record.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataFault(f"{record}: cannot be read ({error.strerror})") from error
    if not (found := re.match(r"[0-9a-f]{64}\b", text)):
        raise DataFault(f"{record}: not a SHA-256; remove the file to trust the next download")
    return f"sha256:{found[0]}"


def _remember(path: Path, found: str) -> None:
    """Keep the checksum of a file beside it, in the format of `sha256sum`."""

    def write(scratch: Path) -> None:
        scratch.write_text(f"{found.removeprefix('sha256:')}  {path.name}\n")

    write_whole(_record(path), write)


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _checksum(path: Path, known: str) -> str:
    """Return the checksum of a file, of the kind of the known one: `sha256:...` by default."""
    algorithm = known.partition(":")[0] or "sha256"
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"


def _said_of(found: str, file: Remote, known: str) -> str:
    if file.checksum:
        return f"{_short(found)} as in the catalogue"
    if known:
        return f"{_short(found)} as when it was first seen"
    return f"{_short(found)}; the catalogue has no checksum: trusted, and to be the same from now on"


def _apart(found: str, known: str) -> str:
    return f"{_short(found)}, expected {_short(known)}"


def _short(checksum: str) -> str:
    algorithm, _, digits = checksum.partition(":")
    return f"{algorithm} {digits[:16]}"
