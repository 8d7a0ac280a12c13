"""The wheel and the source distribution, installed into clean environments and used; some minutes, mostly of pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.launching import CONFIGS, REPOSITORY

_OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
_PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
_SETTINGS = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def _command(*words: object, env: Mapping[str, str] = _SETTINGS, cwd: Path | None = None) -> str:
    done = subprocess.run([*map(str, words)], env=env, cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions."""
    out = tmp_path_factory.mktemp("dist")
    pytest.importorskip("build", reason="pip install build")
    _command(sys.executable, "-m", "build", "--outdir", out, REPOSITORY)
    return out


def _only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


def _interpreter(version: str) -> str:
    """Return an interpreter of this version, on PATH or of pyenv or uv; skip the test without one."""
    if version == _OURS:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found: list[object] = [
        shutil.which(f"python{version}"),
        *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True),
    ]
    if uv := shutil.which("uv"):
        asked = [uv, "python", "find", "--no-python-downloads", version]
        found.append(subprocess.run(asked, capture_output=True, text=True).stdout.strip())
    for each in filter(None, found):
        if subprocess.run([str(each), "-c", "import venv"], capture_output=True).returncode == 0:  # shims may be empty
            return str(each)
    pytest.skip(f"no Python {version} on this machine")


def _environment(folder: Path, interpreter: str, *packages: object, env: Mapping[str, str] = _SETTINGS) -> Path:
    """Make a virtual environment with these packages; return its folder of programs."""
    _command(interpreter, "-m", "venv", folder)
    _command(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages, env=env)
    return folder / "bin"


def _quickstart(programs: Path, folder: Path, *launcher: object) -> bytes:
    """Run the quickstart as installed; return its last iterate."""
    shutil.copy(CONFIGS / "quickstart.toml", folder)
    path = {**_SETTINGS, "PATH": f"{programs}{os.pathsep}{_SETTINGS['PATH']}"}
    _command(
        *launcher, programs / "mpirobust", "run", "quickstart.toml", "--out", "run", "--overwrite", env=path, cwd=folder
    )
    with h5py.File(folder / "run" / "run.h5") as run:
        assert run.attrs["git_commit"] == ""  # of an installed package, not of this checkout
        assert run.attrs["status"] == "finished"
        x: np.ndarray = run["model/x"][:]
    return x.tobytes()


def _loops(programs: Path, folder: Path) -> str:
    asks = "import mpirobust, mpirobust.kernels as k; print(mpirobust.__file__, k.available())"
    return _command(programs / "python", "-c", asks, cwd=folder)


@pytest.mark.parametrize("python", _PYTHONS)
def test_the_wheel_runs_alone_and_on_ranks_with_the_same_bits(python: str, built: Path, tmp_path: Path) -> None:
    """Alone holds what a user of pip gets: loops, types, command and an MPI; other Pythons build theirs."""
    interpreter = _interpreter(python)
    package = _only(built, "*.whl" if python == _OURS else "*.tar.gz")
    programs = _environment(tmp_path / "venv", interpreter, f"mpirobust[mpi] @ {package.as_uri()}")
    assert _command(programs / "mpirobust", "--version").startswith("mpirobust")
    where = _loops(programs, tmp_path)
    assert where.startswith(str(tmp_path))
    assert "baseline" in where or shutil.which("c++") is None
    assert [*(tmp_path / "venv").glob("lib/python*/site-packages/mpirobust/py.typed")]
    alone = _quickstart(programs, tmp_path)
    assert _quickstart(programs, tmp_path, REPOSITORY / "jobs" / "mpirun-local", "-n", 3) == alone


def test_the_source_distribution_without_a_compiler_runs_in_numpy(built: Path, tmp_path: Path) -> None:
    """Alone holds that the archive has all that its build needs, also where nothing can be compiled."""
    nowhere = {**_SETTINGS, "CXX": str(tmp_path / "none"), "CC": str(tmp_path / "none")}
    programs = _environment(tmp_path / "venv", sys.executable, _only(built, "*.tar.gz"), env=nowhere)
    assert "['numpy']" in _loops(programs, tmp_path)
    assert _quickstart(programs, tmp_path)


def test_it_runs_without_being_installed(built: Path, tmp_path: Path) -> None:
    """Alone holds `pipx run`: the command has the name of the package, and needs no other."""
    programs = _environment(tmp_path / "venv", sys.executable, "pipx")
    own = {**_SETTINGS, **{name: str(tmp_path / name) for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}}
    wheel = _only(built, "*.whl")
    assert _command(programs / "pipx", "run", "--spec", wheel, "mpirobust", "list", "aggregator", env=own).startswith(
        "["
    )
