"""Kernels and threads are speed knobs: the same bits with the loops on and off and on 1 and 2 threads, one job each.

A minute: only this runs every kind of every room in several threads.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from tests.mpirun.test_rank_count import PLANS, carry_out, write_plans
from tests.support.traces import assert_same

_WAYS = {
    "numpy-1": (None, "numpy", "1"),
    "compiled-2": (None, "", "2"),
    "ranks-2": (3, "", "2"),
    "numpy-2": (None, "numpy", "2"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plans, and a run of each with compiled loops and one thread below `compiled-1`."""
    folder = tmp_path_factory.mktemp("runs")
    write_plans(folder)
    run_all(folder, "compiled-1", None, "", "1")
    return folder


@pytest.fixture(scope="module", params=["numpy-1", "compiled-2", "ranks-2", "numpy-2"])
def way(request: pytest.FixtureRequest, folder: Path) -> str:
    """How every plan was run, in one start of Python."""
    run_all(folder, request.param, *_WAYS[request.param])
    return str(request.param)


def run_all(folder: Path, way: str, ranks: int | None, loops: str, threads: str) -> None:
    carry_out(folder, way, ranks, "--threads", threads, env={"MPIROBUST_KERNELS": loops})


@pytest.mark.parametrize("name", PLANS)
def test_same_bits_with_and_without_kernels_and_threads(name: str, way: str, folder: Path) -> None:
    assert_same(folder / "compiled-1" / name, folder / way / name)
    with h5py.File(folder / way / name / "run.h5") as file:
        ranks, loops, threads = _WAYS[way]
        assert file.attrs["threads"].split() == [threads] * (ranks or 1)
        assert (file.attrs["kernels"] == "numpy") == (loops == "numpy")
