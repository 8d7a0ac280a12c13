"""A resume reads what it resumes from, and verifies each file once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpirobust import hdf5
from mpirobust.comm.local import LocalCommunicator
from mpirobust.running.experiment import run
from mpirobust.running.setup import RunRequest
from mpirobust.testing.support.clusters import regression_plan

FEEDBACKS = ["none", "residual", "difference"]


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was hashed to compare its checksum."""
    found: Counter[str] = Counter()
    sealed = hdf5._sealed

    def counted(path: Path) -> bool:
        found[path.name] += 1
        return sealed(path)

    monkeypatch.setattr(hdf5, "_sealed", counted)
    return found


def session(plan: Path, out: Path, rounds: int) -> None:
    keys = (f"algorithm.rounds={rounds}", "checkpoint.every=4", "observers.recorder.every_seconds=3600")
    assert run(RunRequest(plan, keys, out, resume=True, quiet=True), LocalCommunicator())[0] == 0


def written(folder: Path, feedback: str) -> Path:
    path = folder / "plan.toml"
    compressor = {"kind": "identity"} if feedback == "none" else {"kind": "topk", "k": 2}
    path.write_text(regression_plan(feedback=feedback, compressor=compressor).toml())
    return path


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_each_file_is_verified_once(feedback: str, tmp_path: Path, verified: Counter[str]) -> None:
    plan = written(tmp_path, feedback)
    session(plan, tmp_path / "run", 10)
    assert not verified
    session(plan, tmp_path / "run", 15)
    assert verified == {"run.h5": 1, "checkpoint-000000010.h5": 1}
    session(plan, tmp_path / "whole", 15)
    with h5py.File(tmp_path / "run" / "run.h5") as found, h5py.File(tmp_path / "whole" / "run.h5") as expected:
        for name in ("model/x", "rounds/norms", "rounds/kept", "rounds/bytes_up"):
            np.testing.assert_array_equal(found[name][:], expected[name][:])


def test_what_is_passed_over_is_verified_once_as_well(tmp_path: Path, verified: Counter[str]) -> None:
    plan = written(tmp_path, "residual")
    session(plan, tmp_path / "run", 10)
    newest = tmp_path / "run" / "checkpoint-000000010.h5"
    damaged = bytearray(newest.read_bytes())
    damaged[-9] ^= 1
    newest.write_bytes(damaged)
    session(plan, tmp_path / "run", 10)
    assert verified == {"run.h5": 1, "checkpoint-000000010.h5": 1, "checkpoint-000000008.h5": 1}
