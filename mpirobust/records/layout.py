"""Names in the files, and the format number. Documented in docs/FORMAT.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpirobust.hdf5 import open_sealed

FORMAT = 1
TRACE = "run.h5"
LOCK = "run.lock"
CHECKPOINTS = "checkpoint-*.h5"
KEPT = 2  # the newest checkpoints: one may turn out to be damaged
PHASES = ("broadcast", "compute", "encode", "gather", "forge", "aggregate", "audit", "checkpoint")


def checkpoint_path(folder: Path, round: int) -> Path:
    return folder / f"checkpoint-{round:09d}.h5"


def open_record(path: Path, kind: str) -> Any:
    """Open a trace (`run`) or a `checkpoint` for reading; raises `SetupFault`."""
    return open_sealed(path, kind, FORMAT)
