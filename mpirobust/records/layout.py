"""Names in the files, and the format number. Documented in docs/FORMAT.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from mpirobust.hdf5 import open_sealed, whole
from mpirobust.round_times import RoundTimes

FORMAT = 1
TRACE = "run.h5"
LOCK = "run.lock"
CHECKPOINTS = "checkpoint-*.h5"
KEPT = 2  # the newest checkpoints: one may turn out to be damaged
PHASES = tuple(each.name for each in fields(RoundTimes))  # columns `seconds_*` of the trace


def checkpoint_path(folder: Path, round: int) -> Path:
    return folder / f"checkpoint-{round:09d}.h5"


@contextmanager
def open_record(path: Path, kind: str) -> Iterator[Any]:
    """A trace (`run`) or a `checkpoint`, open for reading.

    Raises:
        SetupFault: it is none, or it has not what is asked of it inside the block.
    """
    with open_sealed(path, kind, FORMAT) as file, whole(path, "trace" if kind == "run" else kind):
        yield file
