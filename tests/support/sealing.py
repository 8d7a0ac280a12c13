"""Changes a sealed file and seals it again: damage that a checksum cannot tell, or a file by a foreign hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from mpirobust.hdf5 import _seal


@contextmanager
def resealed(path: Path) -> Iterator[Any]:
    with h5py.File(path, "r+") as file:
        yield file
    seal = _seal(path)
    with path.open("r+b") as raw:
        raw.write(seal)
