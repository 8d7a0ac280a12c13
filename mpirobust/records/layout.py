"""Names in the files of a run, and the format number. docs/FORMAT.md describes them."""

from __future__ import annotations

import re
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
KEPT = 2  # the number of checkpoints that are kept: the newest may be damaged
PHASES = tuple(each.name for each in fields(RoundTimes))  # columns `seconds_*` of the trace

_NUMBERED = re.compile(r"checkpoint-([0-9]{9}|[1-9][0-9]{9,})\.h5")
_SCRATCH = re.compile(rf"\.({re.escape(TRACE)}|{_NUMBERED.pattern})\..+\.part")


def checkpoint_path(folder: Path, round: int) -> Path:
    """Return the path of the checkpoint after `round` rounds."""
    return folder / f"checkpoint-{round:09d}.h5"


def round_of(checkpoint: Path) -> int:
    """Return how many rounds were done when `checkpoint` was written, by its name."""
    return int(checkpoint.stem.rpartition("-")[2])


def checkpoints(folder: Path) -> dict[int, Path]:
    """Return what is named as a checkpoint in `folder`, by round, ascending. A user's copy has another name."""
    named = ((_NUMBERED.fullmatch(path.name), path) for path in folder.glob(CHECKPOINTS))
    return dict(sorted((int(name[1]), path) for name, path in named if name))


def scratch_files(folder: Path) -> list[Path]:
    """Return what killed writes of a trace or a checkpoint have left in `folder`."""
    return [path for path in folder.glob(".*.part") if _SCRATCH.fullmatch(path.name) and path.is_file()]


@contextmanager
def open_record(path: Path, kind: str, verify: bool = True) -> Iterator[Any]:
    """Open a trace (`run`) or a `checkpoint` for reading.

    Args:
        verify: compare the checksum, which reads the whole file; False if this process or the center has done so.

    Raises:
        SetupFault: the file is missing or damaged, or lacks data that are read inside the block.
    """
    with open_sealed(path, kind, FORMAT, verify) as file, whole(path, "trace" if kind == "run" else kind):
        yield file
