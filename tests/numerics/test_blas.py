"""Which kernels of BLAS processes use, and whether they are the same."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from types import ModuleType

import pytest

from mpirobust.numerics.blas import OneThread, differ, limit_threads, merged, mixed

_HASWELL, _SKYLAKE = "openblas 0.3.31 Haswell", "openblas 0.3.31 SkylakeX"
_SCIPYS = "openblas 0.3.30 Haswell"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (_HASWELL, _HASWELL, False),
        (_HASWELL, _SKYLAKE, True),
        (_HASWELL, f"{_SCIPYS}, {_HASWELL}", False),  # one process has not loaded scipy's
        (f"{_SCIPYS}, {_SKYLAKE}", f"{_SCIPYS}, {_HASWELL}", True),
        (f"{_HASWELL}, {_SKYLAKE}", _HASWELL, True),  # a session on two kinds of hosts, and one on one
        (_SCIPYS, _HASWELL, True),  # other versions
        ("", _HASWELL, False),  # not recorded
        ("mkl 2024.0 -", "mkl 2024.0 -", False),
    ],
)
def test_whether_two_processes_may_round_differently(one: str, other: str, expected: bool) -> None:
    assert differ(one, other) is differ(other, one) is expected


def test_several_processes_are_one_text() -> None:
    same, unlike = merged([_HASWELL, f"{_SCIPYS}, {_HASWELL}", ""]), merged([_SKYLAKE, _HASWELL, _SKYLAKE])
    assert (same, mixed(same)) == (f"{_SCIPYS}, {_HASWELL}", False)
    assert (unlike, mixed(unlike)) == (f"{_HASWELL}, {_SKYLAKE}", True)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="core types of x86")
def test_the_core_type_is_the_one_in_use() -> None:
    """In processes of their own: OpenBLAS reads the variable as it is loaded."""
    code = "import numpy; from mpirobust.numerics.blas import limit_threads; print(limit_threads())"
    found = [
        subprocess.run([sys.executable, "-c", code], env={"OPENBLAS_CORETYPE": core}, capture_output=True, text=True)
        for core in ("Prescott", "Nehalem")
    ]
    if "openblas" not in limit_threads():
        pytest.skip("another BLAS")
    assert differ(*(each.stdout.strip() for each in found))


@pytest.mark.parametrize(
    "work",
    ["smallest_eigenvalue(lambda v: v, 8, 1)", "gram_norm(np.eye(600), np.eye(600))"],
    ids=["smallest_eigenvalue", "gram_norm"],
)
def test_a_blas_that_is_loaded_late_has_one_thread(work: str) -> None:
    code = f"""
import numpy as np
from threadpoolctl import threadpool_info
from mpirobust.numerics.blas import limit_threads
from mpirobust.numerics.eigenvalues import gram_norm, smallest_eigenvalue
limit_threads()
before = len(threadpool_info())
{work}
after = [each["num_threads"] for each in threadpool_info()]
assert len(after) > before and set(after) == {{1}}, after
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "2"})


def test_in_a_program_of_others_torch_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))  # whoever asks it for anything, fails
    one = OneThread()
    with one.held():
        assert "torch" not in one.libraries


def test_in_a_program_of_others_a_blas_has_one_thread_for_a_while_only() -> None:
    """And nothing else changes: not even OpenMP, which a program may use in its own libraries."""
    code = """
import numpy as np
from threadpoolctl import threadpool_info
from mpirobust.numerics.blas import OneThread
from mpirobust.numerics.eigenvalues import gram_norm
def threads():
    return {each["filepath"]: each["num_threads"] for each in threadpool_info()}
before, one = threads(), OneThread()
with one.held():
    assert set(threads().values()) == {1}
    gram_norm(np.eye(600), np.eye(600))  # loads the BLAS of SciPy
assert set(before.values()) == {2} and before.items() <= threads().items(), (before, threads())
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "2"})
