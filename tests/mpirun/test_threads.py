"""Kernels and threads are speed knobs: the same bits with the loops on and off and on 1 and 2 threads, one job each.

A minute: only this runs every kind of every room in several threads.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from tests.mpirun.test_rank_count import PLANS
from tests.support.launching import finish, start
from tests.support.rows import write_rows
from tests.support.traces import assert_same

_BATCH = Path(__file__).with_name("batch.py")
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
    write_rows(folder / "rows.svm")
    for name, text in PLANS.items():
        (folder / f"{name}.toml").write_text(text)
    carry_out(folder, "compiled-1", None, "", "1")
    return folder


@pytest.fixture(
    scope="module",
    params=["numpy-1", "compiled-2", *(pytest.param(way, marks=pytest.mark.system) for way in ("ranks-2", "numpy-2"))],
)
def way(request: pytest.FixtureRequest, folder: Path) -> str:
    """How every plan was run, in one start of Python."""
    carry_out(folder, request.param, *_WAYS[request.param])
    return str(request.param)


def carry_out(folder: Path, way: str, ranks: int | None, loops: str, threads: str) -> None:
    pairs = [str(path) for name in PLANS for path in (folder / f"{name}.toml", folder / way / name)]
    env = {"MPIROBUST_CACHE": str(folder / "cache"), "MPIROBUST_KERNELS": loops}
    done = finish(start(str(_BATCH), "--threads", threads, *pairs, ranks=ranks, env=env), timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PLANS)
def test_same_bits_with_and_without_kernels_and_threads(name: str, way: str, folder: Path) -> None:
    assert_same(folder / "compiled-1" / name, folder / way / name)
    with h5py.File(folder / way / name / "run.h5") as file:
        ranks, loops, threads = _WAYS[way]
        assert file.attrs["threads"].split() == [threads] * (ranks or 1)
        assert (file.attrs["kernels"] == "numpy") == (loops == "numpy")
