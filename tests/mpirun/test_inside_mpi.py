"""Runs the tests of a communicator inside an MPI job, by pytest-mpi, on several numbers of ranks."""

from __future__ import annotations

import pytest

from tests.support.launching import REPOSITORY, finish, start


@pytest.mark.parametrize("ranks", [1, *(pytest.param(n, marks=pytest.mark.system) for n in (2, 5)), 3])
def test_inside_mpi(ranks: int) -> None:
    inside = str(REPOSITORY / "tests" / "comm" / "test_communicator.py")
    plugins = ("-p", "no:cacheprovider", "-p", "pytest_mpi", "--with-mpi")
    done = finish(start("-m", "pytest", "-q", *plugins, inside, ranks=ranks), timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed") == ranks
    assert "skipped" not in done.stdout
