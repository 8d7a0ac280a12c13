"""Three MPIs, each with the launcher that goes with it, across the nodes of an allocation: the same bits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest

from tests.slurm.jobs import FAKE_CPUS, JOBS, assert_same_bits, write_plan
from tests.slurm.sandbox import Sandbox, missing, sandbox


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Three nodes of 8 CPUs, all of them this machine."""
    if why := missing():
        pytest.skip(f"no SLURM here: {why}")
    with sandbox(tmp_path_factory.mktemp("nodes"), cpus=8, nodes=3) as up:
        yield up


def _wheel(_: Path) -> str:
    """The Open MPI of the environment, which mpi4py finds by itself."""
    return ""


def _mpich(folder: Path) -> str:
    """The library of the wheel of MPICH, in an environment of its own."""
    venv = folder / "mpich"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "install", "--no-deps", "mpich"]
    try:
        done = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the wheel of MPICH cannot be installed in five minutes")
    library = venv / "lib" / "libmpi.so.12"
    if not library.exists():
        pytest.skip(f"the wheel of MPICH cannot be installed: {done.stderr.strip()[-200:]}")
    return str(library)


def _debian_open_mpi(_: Path) -> str:
    library, pmix = (Path("/usr/lib/x86_64-linux-gnu") / name for name in ("libmpi.so.40", "pmix2/lib/libpmix.so"))
    if not (library.exists() and pmix.exists()):
        pytest.skip("no Open MPI of Debian 12, or none for its SLURM: apt-get install libopenmpi3 libpmix-dev")
    return str(library)


# The PMIx server of SLURM does not bear several nodes that are one machine.
@pytest.mark.parametrize(
    ("launcher", "mpi", "find", "says", "span"),
    [
        ("mpirun", "", _wheel, "Open MPI v5", "n[1-3]"),
        ("srun", "pmi2", _mpich, "MPICH", "n[1-3]"),
        ("srun", "pmix", _debian_open_mpi, "Open MPI v4", "n1"),
    ],
)
def test_each_mpi_with_its_launcher(
    launcher: str, mpi: str, find: Callable[[Path], str], says: str, span: str, nodes: Sandbox, tmp_path: Path
) -> None:
    """The one test with other MPIs than that of the environment, and with several nodes of SLURM."""
    plan = write_plan(tmp_path, rows=400, rounds=15)
    library = find(tmp_path)
    env = {**FAKE_CPUS, "MPIROBUST_LAUNCHER": launcher, "MPIROBUST_SRUN_MPI": mpi}
    if library:
        env["MPI4PY_LIBMPI"] = library
    spread = ["--ntasks=5", f"--nodes={3 if '-' in span else 1}"]
    job = nodes.submit(*spread, str(JOBS / "run.sbatch"), plan.name, "--out=out", folder=tmp_path, env=env)
    assert job.wait(180)["JobState"] == "COMPLETED", job.text()
    assert f"5 ranks on {span}" in job.text()
    with h5py.File(tmp_path / "out" / "run.h5") as file:
        assert says in file.attrs["version_mpi"]
        assert len(file.attrs["hosts"].split()) == 5
    assert_same_bits(tmp_path / "out", plan, 15)
