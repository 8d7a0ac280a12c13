"""Root reads and writes whatever the permissions are; a test of permissions takes that from it for a while."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = 0x20080522
_READS_ALL = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def unprivileged() -> Iterator[None]:
    """Inside, this thread obeys permissions, also as root (Linux)."""
    if os.geteuid() != 0:
        yield
        return
    system = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: of the first 32 capabilities, and of the others
    assert system.capget(head, held) == 0
    effective = held[0]
    held[0] = effective & ~_READS_ALL
    assert system.capset(head, held) == 0
    try:
        yield
    finally:
        held[0] = effective
        assert system.capset(head, held) == 0
