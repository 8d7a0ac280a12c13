"""Data that cannot be opened leave no file open, whoever still holds the fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from h5py import h5f

from mpirobust.data.sources.base import Source
from mpirobust.data.sources.csv import CSV
from mpirobust.data.sources.libsvm import LibSVM
from mpirobust.data.sources.mnist import MNIST
from mpirobust.data.store import write_dense_store
from mpirobust.errors import DataFault

UNFIT: dict[str, tuple[Source, list[str]]] = {
    "a label that training does not have": (CSV(path="x", label=1), ["two labels", "three labels"]),
    "the same among images": (MNIST(), ["two labels", "three labels"]),
    "another number of features": (LibSVM(path="x", features=5), ["two labels"]),
}


@pytest.mark.parametrize("case", UNFIT)
def test_no_file_stays_open_after_a_fault(case: str, tmp_path: Path) -> None:
    write_dense_store(tmp_path / "two labels", np.ones((2, 3)), np.array([0.0, 1.0]), "x")
    write_dense_store(tmp_path / "three labels", np.ones((3, 3)), np.array([0.0, 1.0, 2.0]), "x")
    source, names = UNFIT[case]
    before = h5f.get_obj_count(h5f.OBJ_ALL, h5f.OBJ_FILE)
    with pytest.raises(DataFault) as held:
        source.open([tmp_path / name for name in names], seed=1)
    assert h5f.get_obj_count(h5f.OBJ_ALL, h5f.OBJ_FILE) == before, held
