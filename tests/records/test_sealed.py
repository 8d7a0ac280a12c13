"""What is written into a sealed file is there, or it is said that it is not."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpirobust import hdf5
from mpirobust.errors import StorageFault


class _Small:
    """A disk with room for a few thousand bytes, whose later writes succeed again, as when somebody makes room."""

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def write(self, data: memoryview) -> int:
        if not self._failed and self._raw.tell() > 4096:
            self._failed = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._raw.write(data)


def test_a_write_that_failed_once_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 must not see the error, so nobody else tells; all that comes after may succeed."""
    disk = hdf5._Disk
    monkeypatch.setattr(hdf5, "_Disk", lambda raw: disk(_Small(raw)))  # type: ignore[arg-type]
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")
    with pytest.raises(StorageFault, match="No space left on device"):
        hdf5.write_sealed(path, "run", 1, lambda file: file.create_dataset("x", data=np.arange(4000.0)))
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.h5"]
