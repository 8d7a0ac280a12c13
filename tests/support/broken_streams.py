"""Standard streams in the states in which a command may find them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


@contextmanager
def broken(state: str) -> Iterator[TextIO | None]:
    """Open a stream that is in this state."""
    stream = _MAKERS[state]()
    try:
        yield stream
    finally:
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


def _without_reader() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def _in(encoding: str) -> Callable[[], TextIO]:
    return lambda: io.TextIOWrapper(io.BytesIO(), encoding)


_MAKERS: dict[str, Callable[[], TextIO | None]] = {
    "none": lambda: None,  # so Python has it if the descriptor is closed
    "closed": _closed,
    "full": lambda: os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"),
    "without-reader": _without_reader,
    "latin-1": _in("latin-1"),
    "ascii": _in("ascii"),
    "utf-16": _in("utf-16"),
}
STATES = tuple(_MAKERS)
