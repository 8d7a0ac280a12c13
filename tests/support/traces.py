"""Two runs are the same, to the last bit."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

SAME = [
    "model/x",
    "rounds/round",
    "rounds/norms",
    "rounds/kept",
    "rounds/outvoted",
    "rounds/replayed",
    "rounds/refuted",
    "rounds/escape",
    "rounds/strength",
    "rounds/bytes_up",
    "rounds/bytes_down",
    "audits/round",
    "audits/loss",
    "audits/gradient_norm",
    "audits/distance",
    "audits/test_accuracy",
    "audits/lambda_min",
    "audits/test_loss",
    "audits/balanced_accuracy",
    "audits/auc",
]


def assert_same(one: Path, other: Path, status: str = "finished") -> None:
    """The run in the folder `other` has this status and the numbers of the run in `one`."""
    with h5py.File(one / "run.h5") as expected, h5py.File(other / "run.h5") as found:
        assert found.attrs["status"] == status
        for column in SAME:
            np.testing.assert_array_equal(found[column][:], expected[column][:], err_msg=column)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in the files of a run; the lock says nothing."""
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != "run.lock"}
