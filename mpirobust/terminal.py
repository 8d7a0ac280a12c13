"""The one place that prints. Writing to the terminal is no part of a run: it never raises and never changes a code.

Only `warn` may raise: a program can turn its warnings into exceptions.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from io import TextIOBase
from typing import TextIO, cast

_LONGEST = 10_000  # characters of one message
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # not tab, not newline; last: bidi
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def show(text: str) -> None:
    """Print the answer of a command to standard output."""
    stream = _Bearing(sys.stdout, told=True)
    stream.write(f"{plain(text)}\n")
    stream.flush()


def say(text: str) -> None:
    """Print a message to standard error: a fault, or what was lost or ends the work."""
    text = plain(text)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} characters ... {text[-half:]}"
    stream = _Bearing(sys.stderr)
    stream.write(f"{text}\n")
    stream.flush()


def note(text: str) -> None:
    """Print a note to standard error, unless inside `quietly`."""
    mention(f"note: {text}")


def mention(text: str) -> None:
    """Print a message about the progress to standard error, unless inside `quietly`."""
    if not _quiet.get():
        say(text)


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """Print no notes and no progress inside, if `quiet`."""
    token = _quiet.set(quiet)
    try:
        yield
    finally:
        _quiet.reset(token)


def warn(text: str) -> None:
    """Warn a Python program, on its own line: the innermost that is not of this package."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "mpirobust":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def watched() -> bool:
    """Return whether standard error is a terminal, and not inside `quietly`."""
    return not _quiet.get() and _Bearing(sys.stderr).isatty()


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
