"""What the center is measured against: a peer in C++, built here, and ByzFL, installed here."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import Timed

_HERE = Path(__file__).parent
_BYZFL = "byzfl==0.0.11"
_FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]
_SINGLE = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
_SIZE = ctypes.c_size_t


class Missing(Exception):
    """There is no such peer here, and why."""


class CPeer:
    """benchmarks/peer.cpp on packed rows.

    Args:
        rows: n of them, (dim + 7) // 8 bytes each.
        folder: for what is built.

    Raises:
        Missing: there is no compiler, or it fails.
    """

    def __init__(self, rows: Sequence[NDArray[np.uint8]], dim: int, folder: Path) -> None:
        compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            raise Missing("no C++ compiler")
        built = folder / "peer.so"
        command = [compiler, *_FLAGS, str(_HERE / "peer.cpp"), "-o", str(built)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)
        except (subprocess.CalledProcessError, OSError) as fault:
            raise Missing(f"{compiler} failed: {fault}") from fault
        said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        self.name = " ".join([said.splitlines()[0], *_FLAGS[:2]])
        self._library = ctypes.CDLL(str(built))
        self._rows = rows  # kept: their addresses are
        self._head = (
            (ctypes.c_void_p * len(rows))(*[row.ctypes.data for row in rows]),
            _SIZE(len(rows)),
            _SIZE(dim),
        )
        self.sum, self.votes = np.empty(dim), np.empty(dim, np.uint8)
        self.differ = np.empty((len(rows), len(rows)), np.uint64)

    def weighted_sum(self, weights: NDArray[np.float64]) -> None:
        self._library.weighted_sum(*self._head, _address(weights), _address(self.sum))

    def counts(self) -> None:
        self._library.counts(*self._head, _address(self.votes))

    def differences(self) -> None:
        self._library.differences(*self._head, _address(self.differ))


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class ByzFL:
    """A process with ByzFL.

    Args:
        folder: of its environment, which is made if it is not there.
        torch: the requirement of PyTorch, which ByzFL imports; e.g. `torch==2.13.0`.

    Raises:
        Missing: it cannot be installed.
    """

    def __init__(self, folder: Path, torch: str) -> None:
        python = folder / "bin" / "python"
        wanted = [torch, *(f"{each}=={version(each)}" for each in ("numpy", "scipy"))]
        try:
            _install(folder, python, wanted)
            self._process = subprocess.Popen(
                [python, _HERE / "byzfl_server.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **_SINGLE},
            )
        except (subprocess.CalledProcessError, OSError) as fault:
            raise Missing(f"ByzFL cannot be installed: {fault}") from fault
        if self._line() != "ready":
            raise Missing("ByzFL cannot be imported")
        self.name = ", ".join([_BYZFL, *wanted])

    def rule(self, data: Path, steps: Sequence[tuple[str, dict[str, Any]]], calls: int = 1) -> Timed:
        """Return what calls these classes, one on the result of the other, and returns the seconds of one call."""
        return self._request(data, steps, calls, None)

    def result(self, data: Path, steps: Sequence[tuple[str, dict[str, Any]]], out: Path) -> NDArray[Any]:
        """Return the result of the last of them."""
        self._request(data, steps, 1, out)()
        found: NDArray[Any] = np.load(out)
        return found

    def _request(
        self, data: Path, steps: Sequence[tuple[str, dict[str, Any]]], calls: int, out: Path | None
    ) -> Callable[[], tuple[float, float]]:
        request = json.dumps({"data": str(data), "steps": steps, "calls": calls, "out": out and str(out)})

        def run() -> tuple[float, float]:
            assert self._process.stdin is not None
            print(request, file=self._process.stdin, flush=True)
            wall, cpu = json.loads(self._line())
            return wall, cpu

        return run

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate()


def _install(folder: Path, python: Path, wanted: Sequence[str]) -> None:
    """Make the environment; ByzFL without what only its plots and data sets need."""
    ready, content = folder / "ready", "\n".join([*wanted, _BYZFL])
    if ready.exists() and ready.read_text() == content:
        return
    print(f"installing {_BYZFL} with {', '.join(wanted)} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *wanted], check=True)
    subprocess.run([*pip, "--no-deps", _BYZFL], check=True)
    ready.write_text(content)
