"""What other people, programs and mishaps put into the folder of a run: each makes one thing at a path."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

PRECIOUS = b"of somebody else\n"


def _link(path: Path) -> None:
    path.symlink_to(_precious(path))


def _hard_link(path: Path) -> None:
    path.hardlink_to(_precious(path))


def _precious(path: Path) -> Path:
    target = path.parent / "precious.txt"
    target.write_bytes(PRECIOUS)
    return target


def _socket(path: Path) -> None:
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as server:  # the name of a socket is short
        server.bind(path.name)


def _text(path: Path) -> None:
    path.write_bytes(PRECIOUS)


def _hdf5(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))


STRANGERS: dict[str, Callable[[Path], None]] = {
    "link": _link,
    "dangling link": lambda path: path.symlink_to(path.parent / "nowhere"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "socket": _socket,
}
LINKED: dict[str, Callable[[Path], None]] = {**STRANGERS, "hard link": _hard_link}
FOREIGN: dict[str, Callable[[Path], None]] = {
    **STRANGERS,
    "text": _text,
    "HDF5 of another program": _hdf5,
}


def traces(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return kind and mode, links and content of all that is in the folder, without following or opening a pipe."""
    found = {}
    for path in folder.rglob("*"):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(folder))] = (state.st_mode, state.st_nlink if not path.is_dir() else 0, content)
    return found
