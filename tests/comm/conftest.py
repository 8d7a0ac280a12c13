"""Tests of a communicator are collected inside an MPI job only; tests/mpirun/test_inside_mpi.py starts them."""

from __future__ import annotations

from mpirobust.comm.launch import launched_as

collect_ignore = [] if launched_as() else ["test_communicator.py"]
