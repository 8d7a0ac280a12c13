"""Runs over TCP across several hosts: the bits of a single process, also when a host is lost on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.hosts.network import Network
from tests.launching import finish, mpirobust
from tests.slurm.sandbox import until

pytestmark = pytest.mark.slow

_PLAN = """
seed = 5
workers = 20
feedback = "residual"
[data]
kind = "regression"
rows = 400
features = 2000
[problem]
kind = "least-squares"
[algorithm]
kind = "first-order"
rounds = {rounds}
step = 0.02
[compressor]
kind = "topk"
k = 200
[aggregator]
kind = "norm-trim"
beta = 0.2
[attack]
kind = "gaussian"
alpha = 0.1
[audit]
every = {audits}
[checkpoint]
every = 10
"""
_SAME = ("rounds/bytes_up", "rounds/bytes_down", "rounds/kept", "rounds/norms", "audits/round", "audits/loss", "model/x")
# What jobs/run.sbatch sets: a launcher that hears nothing of a host for half a minute gives it up.
_KEEPALIVE = {
    "PRTE_MCA_oob_tcp_keepalive_time": "15",
    "PRTE_MCA_oob_tcp_keepalive_intvl": "5",
    "PRTE_MCA_oob_tcp_keepalive_probes": "3",
}


def _write_plan(folder: Path, rounds: int, audits: int) -> Path:
    plan = folder / "plan.toml"
    plan.write_text(_PLAN.format(rounds=rounds, audits=audits))
    return plan


def _start(net: Network, hosts: Sequence[str], *arguments: str) -> subprocess.Popen[str]:
    """`mpirobust ARGUMENTS` on two ranks on each of `hosts`."""
    first = net.hosts[hosts[0]]
    launch = ["mpirun", "--host", ",".join(hosts), "--map-by", "ppr:2:node:oversubscribe", "--bind-to", "none"]
    command = [*first.enter, *launch, "-n", str(2 * len(hosts)), sys.executable, "-m", "mpirobust", *arguments]
    env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **_KEEPALIVE, **net.env()}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **env, "PATH": path},
    )


def _assert_same_bits(found: Path, plan: Path) -> None:
    alone = plan.parent / "alone"
    done = mpirobust("run", str(plan), "--out", str(alone))
    assert done.returncode == 0, done.stderr
    with h5py.File(alone / "run.h5") as expected, h5py.File(found / "run.h5") as file:
        assert file.attrs["status"] == "finished"
        for name in _SAME:
            np.testing.assert_array_equal(file[name][:], expected[name][:], err_msg=name)


def test_three_hosts_and_one_process_have_the_same_bits(three: Network, tmp_path: Path) -> None:
    plan, out = _write_plan(tmp_path, rounds=25, audits=5), tmp_path / "out"
    done = finish(_start(three, ["h1", "h2", "h3"], "run", str(plan), "--out", str(out)), 120)
    assert done.returncode == 0, done.stderr
    with h5py.File(out / "run.h5") as file:
        assert file.attrs["hosts"].split() == ["h1", "h1", "h2", "h2", "h3", "h3"]
    _assert_same_bits(out, plan)
