"""The one place that prints. Writing to the terminal is no part of a run: it never raises and never changes a code.

A message is of one of four kinds: `say` (faults, what was lost, and how a command ended), `note`, `tell` (progress) and
`detail`. Of these a quiet process prints only the first, and only a verbose one the last; the log has them all. Only
`warn` may raise: a program can turn its warnings into exceptions.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from io import TextIOBase
from pathlib import Path
from typing import TextIO, cast

_LONGEST = 10_000  # characters of one message
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # not tab, not newline; last: bidi
_NOTES, _PROGRESS = 1, 2

_held: ContextVar[int] = ContextVar("held", default=0)  # back by `quietly`: nothing, notes, or progress as well
_loudness = 0  # -1: quiet, 1: verbose
_log: Path | None = None


def speak(loudness: int) -> None:
    """Print less from now on (-1), as usual (0), or more (1)."""
    global _loudness
    _loudness = loudness


def log_to(path: Path | None) -> str:
    """Append to `path` what is printed from now on, and what is not printed because this process is quiet.

    Returns:
        Why that cannot be, '' if it can: there is then no log.
    """
    global _log
    _log = None
    if path is not None:
        try:
            path.open("ab").close()
        except OSError as error:
            return f"{path}: {error.strerror}"
        _log = path
    return ""


def show(text: str) -> None:
    """Print the answer of a command to standard output."""
    _record(text)
    stream = _Bearing(sys.stdout, told=True)
    stream.write(f"{plain(text)}\n")
    stream.flush()


def say(text: str) -> None:
    """Print a message to standard error: a fault, what was lost, or how a command ended."""
    _print(text, least=-1)


def note(text: str) -> None:
    """Print what the user may want to know, although nothing fails."""
    _print(f"note: {text}", least=0, held=_NOTES)


def tell(text: str) -> None:
    """Print how far the work is."""
    _print(text, least=0, held=_PROGRESS)


def detail(text: str) -> None:
    """Print a step of the work, for those who want to know all of them."""
    _print(text, least=1, held=_NOTES)


def _print(text: str, least: int, held: int = _PROGRESS + 1) -> None:
    text = plain(text)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} characters ... {text[-half:]}"
    _record(text)
    if _loudness >= least and _held.get() < held:
        stream = _Bearing(sys.stderr)
        stream.write(f"{text}\n")
        stream.flush()


def _record(text: str) -> None:
    """Append `text` to the log, if there is one, with the time, in one write: several ranks may share the file."""
    if _log is None:
        return
    try:
        with _log.open("ab", buffering=0) as file:
            file.write(f"{datetime.now().astimezone():%F %T%z} {plain(text)}\n".encode(errors="backslashreplace"))
    except OSError as error:
        path = _log
        log_to(None)  # before anything is said
        say(f"mpirobust: the log ends here: {path}: {error.strerror}")


@contextmanager
def quietly(notes: bool, progress: bool) -> Iterator[None]:
    """Print no notes inside, if `notes`, and neither notes nor progress, if `progress`; the log has them."""
    token = _held.set(_PROGRESS if progress else _NOTES if notes else 0)
    try:
        yield
    finally:
        _held.reset(token)


def warn(text: str) -> None:
    """Warn a Python program, on its own line: the innermost that is not of this package."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "mpirobust":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def watched() -> bool:
    """Return whether standard error is a terminal on which progress may be drawn."""
    return _loudness >= 0 and _held.get() < _PROGRESS and _Bearing(sys.stderr).isatty()


class Screen:
    """Standard output for a view that changes: drawn again in place on a terminal, a line after another elsewhere.

    Attributes:
        redraws: whether it is a terminal.
    """

    def __init__(self) -> None:
        self.redraws = _Bearing(sys.stdout).isatty()
        self._drawn = 0

    def draw(self, lines: Sequence[str], line: str) -> None:
        """Show `lines` in the place of those before, or `line` where that cannot be."""
        if not self.redraws:
            show(line)
            return
        room = shutil.get_terminal_size().columns - 1  # a line that is wrapped would be two
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        stream = _Bearing(sys.stdout, told=True)
        stream.write(f"{up}\r\x1b[J" + "".join(f"{plain(each)[:room]}\n" for each in lines))
        stream.flush()
        self._drawn = len(lines)


def plain(text: str) -> str:
    """Return `text` without what a terminal would obey: file names, keys and records may hold any characters."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def bearing_streams() -> Iterator[None]:
    """Make `sys.stdout` and `sys.stderr` bear everything inside, for what other libraries print."""
    _prepare_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Bearing(sys.stdout, told=True))
    sys.stderr = cast(TextIO, _Bearing(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        speak(0)
        log_to(None)


def _prepare_descriptors() -> None:
    """Open /dev/null where a standard stream is closed, and let writing wait where it would fail if the reader is slow.

    The next file to be opened would get the number of a closed stream.
    """
    for number in range(3):
        try:
            os.set_blocking(number, True)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)


class _Bearing(TextIOBase):
    """A stream that shows what it can of a text and loses the rest.

    The stream may be None or closed, its disk full, its reader gone, its encoding without these characters.

    Args:
        told: whether standard error says that text is lost, unless its reader is gone.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, stream: TextIO | None, told: bool = False) -> None:
        self._stream = stream
        self._told = told
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._stream is not None:
            shown = text.encode(self.encoding, self.errors).decode(self.encoding)
            try:
                self._stream.write(shown)
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError(errno.EBADF, "no stream")
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def _lose(self, error: Exception) -> None:
        """Send the rest of the stream to /dev/null, so that it fails no more, not even as Python exits."""
        assert self._stream is not None
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()
        if self._told and isinstance(error, OSError) and error.errno != errno.EPIPE:
            say(f"mpirobust: not all could be printed: {error.strerror}")
