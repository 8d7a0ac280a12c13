"""The process that writes a run, seen from outside: a run that was killed leaves the status `running` behind."""

from __future__ import annotations

import fcntl
import os
import platform
from enum import StrEnum
from pathlib import Path

from mpirobust.records.layout import LOCK

# File systems whose locks all hosts see, each with the mount option that says so.
_SHARED = {"nfs": "local_lock=none", "nfs4": "local_lock=none", "lustre": "flock", "ceph": ""}


class Writer(StrEnum):
    """The process that holds the lock of a run, as far as it can be seen from here."""

    ALIVE = "alive"
    GONE = "not held"
    UNKNOWN = "unknown"


def writer_of(folder: Path, host: str) -> Writer:
    """Return whether a process is writing to the run in `folder`, whose trace was last written on `host`."""
    held = _is_held(folder / LOCK)
    if held:
        return Writer.ALIVE
    seen = held is not None and (host == platform.node() or _on_shared_locks(folder))
    return Writer.GONE if seen else Writer.UNKNOWN


def _is_held(lock: Path) -> bool | None:
    """Return whether a process of this host, or of any if the file system shares locks, has the lock; None: no lock."""
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None  # the file system has no locks
    finally:
        os.close(handle)
    return False


def _on_shared_locks(folder: Path) -> bool:
    try:
        return shares_locks(Path("/proc/self/mountinfo").read_text(), folder.stat().st_dev)
    except (OSError, ValueError):
        return False


def shares_locks(mounts: str, device: int) -> bool:
    """Return whether all hosts see the locks of the file system on `device`, as the text of mountinfo has it."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        place, _, system = line.partition(" - ")
        if place.split()[2] == number:
            kind, _, options = system.split(" ", 2)
            return kind in _SHARED and (not _SHARED[kind] or _SHARED[kind] in options.split(","))
    return False
