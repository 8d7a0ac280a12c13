"""For programs that ranks run: a rank dies, or the center waits, at a chosen call.

Ranks tell each other where they are by files in a folder of notes, so nothing depends on how fast the machine is.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_PATIENCE = 120  # seconds; against hangs


def rank() -> str:
    """Return the launcher's number of this process."""
    return os.environ["OMPI_COMM_WORLD_RANK"]


def die(*_: Any) -> NoReturn:
    """End this rank now, as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def replace(owner: Any, name: str, by: Any) -> None:
    setattr(owner, name, by)


def wait_for(condition: Callable[[], bool], patience: float = _PATIENCE) -> None:
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("a rank waited in vain for another one")
        time.sleep(0.005)


def state_of(pid: str) -> str:
    """Return the letter that the kernel has for the state of a process; Z if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def note_pid(notes: Path) -> None:
    """Note the process number of this rank, for those that wait for its death."""
    part = notes / f"part-{rank()}"
    part.write_text(str(os.getpid()))
    part.rename(notes / f"rank-{rank()}")


def is_dead(notes: Path, rank: str) -> bool:
    """Return whether the rank has noted its process number and that process has ended."""
    note = notes / f"rank-{rank}"
    return note.exists() and state_of(note.read_text()) == "Z"


def note_code_on_leaving(notes: Path, survivors: int) -> None:
    """Note the exit code of this rank when it leaves a job that survives deaths; `codes_on_leaving` reads them.

    The launcher kills the ranks that are left when one leaves with another code than 0, so they wait for each other.
    """

    def leaving(code: int, leave: Callable[[int], None] = os._exit) -> None:
        (notes / f"leaves-{rank()}").write_text(str(code))
        with suppress(TimeoutError):  # the test then misses a code
            wait_for(lambda: len(codes_on_leaving(notes)) == survivors, 20)
        leave(code)

    replace(os, "_exit", leaving)


def codes_on_leaving(notes: Path) -> list[str]:
    return [note.read_text() for note in notes.glob("leaves-*")]
