"""Runs the tests that are marked `mpi` inside an MPI job: `mpirun -n 3 python -m pytest --with-mpi`."""

from __future__ import annotations

import pytest

from tests.support.launching import REPOSITORY, finish, start


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_inside_mpi(ranks: int) -> None:
    inside = str(REPOSITORY / "tests" / "inside")
    done = finish(start("-m", "pytest", "-q", "--with-mpi", "-p", "no:cacheprovider", inside, ranks=ranks), timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed") == ranks
