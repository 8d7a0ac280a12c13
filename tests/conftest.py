"""The tier of every test; Hypothesis draws the same examples in every run, unless MPIROBUST_FUZZ_SECONDS is set.

Tiers, each of which `make` runs by name (test-unit, test-mpi, ...):
  unit    in this process, on all cores; starts no mpirun
  mpi     starts mpirun: what an MPI application must hold
  system  SLURM, several hosts, crashes at every write, long searches for hostile bytes
  paper   what the papers claim
  soak    takes very long: outside of CI, `make soak`
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.support import launching

if "PYTEST_XDIST_WORKER" in os.environ:  # the cores are shared already; read when numpy is first imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings.register_profile("mpirobust", derandomize="MPIROBUST_FUZZ_SECONDS" not in os.environ, deadline=None)
settings.load_profile("mpirobust")

# By folder, file or test; the longest that fits decides, and a mark on the test itself before it.
_TIERS = {
    **dict.fromkeys(["aggregators", "algorithms", "attacks", "cluster", "comm", "compressors", "contracts"], "unit"),
    **dict.fromkeys(["cubic", "data", "docs", "feedback", "fuzz", "numerics", "observers", "problems"], "unit"),
    **dict.fromkeys(["records", "reports", "run", "studies", "mpirobust/testing"], "unit"),
    **dict.fromkeys(["test_architecture.py", "test_breaks.py", "test_environment.py", "test_exit_codes.py"], "unit"),
    **dict.fromkeys(["test_plan.py", "test_streams.py", "test_terminal.py", "test_toml.py"], "unit"),
    "mpirun": "mpi",
    "observers/test_deadline.py::test_a_job_of_several_ranks_ends_by_itself": "mpi",
    "observers/test_deadline.py::test_a_study_begins_no_run_that_has_no_time": "mpi",
    "crashes": "system",
    "hosts": "system",
    "slurm": "system",
    "slurm/test_points.py": "unit",
    "slurm/test_run_alone.py": "unit",
    "fuzz/test_guided.py": "system",
    "paper": "paper",
}
_NAMES = ("unit", "mpi", "system", "paper", "soak")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the mark of its tier; a test without one, or with two, ends the session."""
    for item in items:
        marked = {mark.name for mark in item.iter_markers()} & set(_NAMES)
        if not marked and (tier := _tier_of(item.nodeid.removeprefix("tests/"))):
            marked = {tier}
            item.add_marker(tier)
        if len(marked) != 1:
            raise pytest.UsageError(f"{item.nodeid}: a test has one tier, this {len(marked)}; see tests/conftest.py")


def _tier_of(test: str) -> str | None:
    """Return the tier by the table; None if nothing in it fits."""
    fitting = [place for place in _TIERS if test.startswith((f"{place}/", f"{place}::", f"{place}[")) or test == place]
    return _TIERS[max(fitting, key=len)] if fitting else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    launching.mpirun_allowed = item.get_closest_marker("unit") is None
