"""A reader that does not know the user block: FORMAT.md says how to make a file for it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tests.docs.pages import text
from tests.support.alone import run_alone
from tests.support.small_studies import PLAN
from tests.support.traces import SAME

_HDF5 = b"\x89HDF\r\n\x1a\n"  # how a file begins for a reader that looks no further


def test_a_copy_without_the_user_block_has_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    path, copy = run_alone(tmp_path / "plan.toml", tmp_path / "run") / "run.h5", tmp_path / "plain.h5"
    assert "`run.copy(name, plain)`" in text("FORMAT.md")
    with h5py.File(path) as run, h5py.File(copy, "w") as plain:
        assert run.userblock_size == path.read_bytes().index(_HDF5) == 512
        for name in run:
            run.copy(name, plain)
    assert copy.read_bytes().startswith(_HDF5)
    with h5py.File(path) as run, h5py.File(copy) as plain:
        for name in SAME:
            np.testing.assert_array_equal(plain[name][:], run[name][:])
