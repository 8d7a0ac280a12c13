"""The package where nothing can be compiled, and the compiled loops under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.elsewhere import environment_of
from tests.support.launching import REPOSITORY


def _source(tmp_path: Path) -> Path:
    """Return a copy of what is built from."""
    copy = tmp_path / "source"
    copy.mkdir()
    shutil.copytree(REPOSITORY / "mpirobust", copy / "mpirobust", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ["CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"]:
        shutil.copy(REPOSITORY / name, copy / name)
    return copy


def _library(compiler: str, name: str) -> Path:
    found = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def test_without_a_compiler_the_package_installs_and_works_with_the_twins(tmp_path: Path) -> None:
    """Alone holds the fallback of pyproject.toml; some 20 s, for a build environment of its own."""
    nowhere = {**os.environ, "CXX": str(tmp_path / "no-compiler"), "CC": str(tmp_path / "no-compiler")}
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "there")]
    subprocess.run([*install, str(_source(tmp_path))], env=nowhere, check=True, timeout=300)
    assert not list((tmp_path / "there").rglob("_compiled*.so"))
    code = "import numpy, mpirobust.kernels as k; print(k.available(), k.count([numpy.ones(1, numpy.uint8)], 8))"
    there = environment_of(tmp_path / "there")
    found = subprocess.run([sys.executable, "-c", code], env=there, cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout == "['numpy'] [0 0 0 0 0 0 0 1]\n", found


def test_the_loops_under_the_sanitizers(tmp_path: Path) -> None:
    """Alone sees a read beyond the rows and an overflow of an integer; half a minute, for the build."""
    compiler = shutil.which("g++")
    # The C++ library as well: the sanitizer takes over its exceptions when it is loaded.
    runtime = [_library(compiler, name) for name in ("libasan.so", "libstdc++.so.6")] if compiler else []
    if not runtime or not all(path.is_file() for path in runtime):
        pytest.skip("no g++ with an address sanitizer")
    there = tmp_path / "there"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(there)]
    sanitized = ["--config-settings=cmake.define.MPIROBUST_SANITIZE=ON", str(_source(tmp_path))]
    subprocess.run([*install, *sanitized], check=True, timeout=300)
    shutil.copytree(REPOSITORY / "tests", there / "tests")
    watched = {
        **environment_of(there),
        "LD_PRELOAD": " ".join(map(str, runtime)),
        "ASAN_OPTIONS": "detect_leaks=0",  # of the interpreter
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    code = "from mpirobust.kernels import _compiled; print(_compiled.__file__)"
    used = subprocess.run([sys.executable, "-c", code], env=watched, cwd=there, capture_output=True, text=True)
    assert used.stdout.startswith(str(there)), used
    pytest_there = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(there)]
    found = subprocess.run(
        [
            *pytest_there,
            "-c",
            str(REPOSITORY / "pyproject.toml"),
            *(str(there / "tests/kernels" / name) for name in ("test_loops.py", "test_codes.py")),
        ],
        env=watched,
        cwd=there,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert " passed" in found.stdout  # also if it ends in the middle
