"""Short measurements: of the messages between the ranks, and of the folder for the output."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from mpirobust.comm.communicator import Communicator
from mpirobust.errors import StorageFault

_SECONDS = 0.5  # of each of the three measurements of the network
_LEAST, _MOST = 2**16, 2**26  # bytes that cross at once
_OFTEN = 1000  # repetitions at most
_CHUNK, _CHUNKS = 2**22, 16  # bytes that are written at once, and how often
_LONGEST = 1.0  # seconds in which they are written


@dataclass(frozen=True)
class Network:
    """The time that the messages of a round take.

    Attributes:
        empty: seconds of a round without content: 8 bytes from the center to all ranks, and 8 from each back.
        down: bytes per second from the center, of one vector that all ranks receive.
        up: bytes per second into the center, from all ranks together.
    """

    empty: float
    down: float
    up: float


@dataclass(frozen=True)
class Disk:
    """A folder in which files can be written.

    Attributes:
        folder: the one that was tried: that of the output, or the nearest above it that exists.
        free: bytes that are left.
        speed: bytes per second that are written to the medium.
        locks: whether a process sees that another one holds a lock.
    """

    folder: str
    free: int
    speed: float
    locks: bool


def network(comm: Communicator, seconds: float = _SECONDS) -> Network:
    """Measure the messages of a round, on all ranks, in about three times `seconds`; meaningful on the root.

    Raises:
        RankFault, ReportedFault: a rank has failed.
    """
    word, words, ones = np.zeros(1, np.int64), np.zeros(comm.size, np.int64), np.ones(comm.size, np.int64)

    def down(message: NDArray[np.uint8]) -> None:
        comm.broadcast(message)
        comm.gather(word, words, ones)

    def up(message: NDArray[np.uint8]) -> None:
        comm.broadcast(word)
        comm.gather(message, whole[: comm.size * message.size], message.size * ones)

    empty = _seconds(comm, lambda: down(word.view(np.uint8)), seconds)
    trial = np.zeros(_LEAST, np.uint8)
    rate = _LEAST / max(_seconds(comm, lambda: down(trial), 0.0) - empty, 1e-6)
    nbytes = _agreed(comm, min(_MOST, max(_LEAST, int(rate * seconds / 4))))
    part = max(nbytes // comm.size, 1)
    vector, whole = np.zeros(nbytes, np.uint8), np.zeros(comm.size * part, np.uint8)
    down_seconds = _seconds(comm, lambda: down(vector), seconds)
    up_seconds = _seconds(comm, lambda: up(vector[:part]), seconds)
    return Network(empty, nbytes / down_seconds, (comm.size - 1) * part / up_seconds)


def _seconds(comm: Communicator, call: Callable[[], None], budget: float) -> float:
    """Return how long a collective call takes, repeated as often as fits into `budget` seconds; once at least."""
    with comm.outside_rounds():
        call()  # connections are made when they are first needed
        began = perf_counter()
        call()
        once = perf_counter() - began
    repeats = _agreed(comm, min(_OFTEN, int(budget / max(once, 1e-6))))
    if not repeats:
        return once
    with comm.outside_rounds():
        began = perf_counter()
        for _ in range(repeats):
            call()
        return (perf_counter() - began) / repeats


def _agreed(comm: Communicator, number: int) -> int:
    """Return the root's number."""
    return int(comm.broadcast_bytes(str(number).encode()))


def disk(folder: Path) -> Disk:
    """Try a folder for the output. What is written is deleted.

    Raises:
        StorageFault: nothing can be written there.
    """
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        return Disk(str(there), shutil.disk_usage(there).free, _written(there), _locked(there))
    except OSError as error:
        raise StorageFault(f"cannot write to {folder}: {error.strerror}") from error


def _written(folder: Path) -> float:
    chunk, written = os.urandom(_CHUNK), 0
    with tempfile.TemporaryFile(dir=folder) as file:
        began = perf_counter()
        while written < _CHUNK * _CHUNKS and perf_counter() - began < _LONGEST:
            written += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return written / (perf_counter() - began)


def _locked(folder: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=folder) as file, Path(file.name).open("rb") as other:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # such as ENOLCK
            pass
    return False
