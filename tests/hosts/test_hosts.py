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
from namespaces import Network, missing, network

from tests.support.deaths import ULFM, assert_as_replayed, doomed, plan_of, program
from tests.support.launching import REPOSITORY, finish, mpirobust, start, until

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
_SAME = (
    "rounds/bytes_up",
    "rounds/bytes_down",
    "rounds/kept",
    "rounds/norms",
    "audits/round",
    "audits/loss",
    "model/x",
)


def _write_plan(folder: Path, rounds: int, audits: int) -> Path:
    plan = folder / "plan.toml"
    plan.write_text(_PLAN.format(rounds=rounds, audits=audits))
    return plan


class Fleet:
    """Starts jobs/run.sbatch as SLURM would on the first of some hosts, with the others at its disposal."""

    def __init__(self, net: Network, folder: Path) -> None:
        self._net = net
        self._folder = folder
        scontrol = folder / "bin" / "scontrol"
        scontrol.parent.mkdir()
        scontrol.write_text(f"#!/bin/sh\necho $* >>{folder}/requeued\n")
        scontrol.chmod(0o755)

    def start(self, hosts: Sequence[str], plan: Path, restarts: int = 0) -> subprocess.Popen[str]:
        """Two ranks on each of `hosts`; the output goes to `out`."""
        listed = self._folder / f"hosts-{restarts}"
        listed.write_text("".join(f"{name} slots=2\n" for name in hosts))
        path = os.pathsep.join([str(self._folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        facts = {"JOB_ID": "7", "NTASKS": str(2 * len(hosts)), "JOB_NODELIST": ",".join(hosts)}
        env = {
            **{name: text for name, text in os.environ.items() if not name.startswith("SLURM_")},
            **{f"SLURM_{name}": text for name, text in facts.items()},
            **self._net.env(),
            "SLURM_RESTART_COUNT": str(restarts),
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_prte_default_hostfile": str(listed),
            "PRTE_MCA_rmaps_default_mapping_policy": "slot:oversubscribe",
            "PRTE_MCA_hwloc_default_binding_policy": "none",
            "MPIROBUST_LAUNCHER": "mpirun",
            "PATH": path,
        }
        script = ["bash", str(REPOSITORY / "jobs" / "run.sbatch"), str(plan), "--out", str(self._folder / "out")]
        return subprocess.Popen(
            [*self._net.hosts[hosts[0]].enter, *script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=env,
        )

    @property
    def requeued(self) -> list[str]:
        """What the script asked of SLURM."""
        told = self._folder / "requeued"
        return told.read_text().splitlines() if told.exists() else []


def _assert_same_bits(found: Path, plan: Path) -> None:
    alone = plan.parent / "alone"
    done = mpirobust("run", str(plan), "--out", str(alone))
    assert done.returncode == 0, done.stderr
    with h5py.File(alone / "run.h5") as expected, h5py.File(found / "run.h5") as file:
        assert file.attrs["status"] == "finished"
        for name in _SAME:
            np.testing.assert_array_equal(file[name][:], expected[name][:], err_msg=name)


def test_three_hosts_and_one_process_have_the_same_bits(three: Network, tmp_path: Path) -> None:
    """The first law over TCP, between hosts without common memory, by jobs/run.sbatch."""
    plan, fleet = _write_plan(tmp_path, rounds=25, audits=5), Fleet(three, tmp_path)
    done = finish(fleet.start(["h1", "h2", "h3"], plan), 120)
    assert done.returncode == 0, done.stdout + done.stderr
    with h5py.File(tmp_path / "out" / "run.h5") as file:
        assert file.attrs["hosts"].split() == ["h1", "h1", "h2", "h2", "h3", "h3"]
    assert fleet.requeued == []
    _assert_same_bits(tmp_path / "out", plan)


@pytest.mark.parametrize("loss", ["daemon", "link"])
def test_a_lost_host_ends_the_job_and_the_others_go_on(three: Network, tmp_path: Path, loss: str) -> None:
    """A host that is lost as a whole or falls silent: the job ends in bounded time, asks for its return and resumes."""
    plan, fleet, out = _write_plan(tmp_path, rounds=500, audits=5), Fleet(three, tmp_path), tmp_path / "out"
    first = fleet.start(["h1", "h2", "h3"], plan)
    until(lambda: any(out.glob("checkpoint-*.h5")), 90, lambda: f"exit code {first.poll()}")
    if loss == "daemon":
        for pid in three.hosts["h3"].processes("prted"):
            os.kill(pid, signal.SIGKILL)
    else:
        three.cut("h3")
    # Not a measurement: half a minute is what the script promises, eight minutes what Open MPI takes without it. Five
    # times this lies between them.
    done = finish(first, 60)
    assert done.returncode != 0, done.stdout
    assert fleet.requeued == ["requeue 7"], done.stdout + done.stderr
    assert mpirobust("inspect", str(out), "--status").stdout == "running\n"
    done = finish(fleet.start(["h1", "h2"], plan, restarts=1), 120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fleet.requeued == ["requeue 7"]
    _assert_same_bits(out, plan)


def _start_under_ulfm(net: Network, *command: str) -> subprocess.Popen[str]:
    """Two ranks on each of the hosts."""
    options = (*ULFM, "--host", ",".join(net.hosts), "--map-by", "ppr:2:node:oversubscribe")
    return start(*command, ranks=2 * len(net.hosts), options=options, env=net.env(), enter=net.hosts["h1"].enter)


@pytest.mark.parametrize(
    ("on_failure", "instant", "fatal", "absent_from", "fate"),
    [
        ("drop", "while it computes", 14, 14, "absent from now on"),
        ("adopt", "while residuals are saved", 19, 20, "moved to other ranks, without what feedback had kept there"),
    ],
)
def test_a_rank_that_dies_on_another_host_is_done_without(
    three: Network, tmp_path: Path, on_failure: str, instant: str, fatal: int, absent_from: int, fate: str
) -> None:
    """Recovery over TCP, with the collectives that are chosen for several hosts."""
    plan, out = plan_of(tmp_path, on_failure), tmp_path / "out"
    dying = doomed(tmp_path, instant, fatal, 5)
    done = finish(_start_under_ulfm(three, *dying, "run", str(plan), "--out", str(out)), 60)
    assert done.returncode == 0, done.stderr
    assert f"rank 5 died in round {fatal + 1}; workers 16-19: {fate}\n" in done.stderr
    with h5py.File(out / "run.h5") as file:
        assert file.attrs["hosts"].split() == ["h1", "h1", "h2", "h2", "h3", "h3"]
        absent = file["rounds/absent"][:]
    assert np.argwhere(absent).tolist() == [
        [t, worker] for t in range(absent_from, len(absent)) for worker in range(16, 20) if on_failure == "drop"
    ]
    assert_as_replayed(plan, out, absent_from, gone=range(16, 20))


@pytest.mark.parametrize("instant", ["when MPI has started", "while it assembles"])
def test_a_rank_that_dies_on_another_host_before_the_first_round_is_named(
    three: Network, tmp_path: Path, instant: str
) -> None:
    dying = program("doomed_early", tmp_path, instant, 4)
    command = (*dying, "run", str(plan_of(tmp_path)), "--out", str(tmp_path / "out"))
    done = finish(_start_under_ulfm(three, *command), 60)
    assert done.returncode == 6, done.stderr
    assert "mpirobust: rank 4 died outside of a round" in done.stderr.splitlines()


def test_a_lost_host_ends_a_job_that_survives_the_death_of_a_rank(three: Network, tmp_path: Path) -> None:
    """Under ULFM a host is still too much, and what is saved resumes."""
    plan, out = _write_plan(tmp_path, rounds=500, audits=5), tmp_path / "out"
    process = _start_under_ulfm(three, "-m", "mpirobust", "run", str(plan), "--out", str(out))
    until(lambda: any(out.glob("checkpoint-*.h5")), 90, lambda: f"exit code {process.poll()}")
    for pid in three.hosts["h3"].processes("prted"):
        os.kill(pid, signal.SIGKILL)
    finish(process, 60)  # with 0, 6 or 137
    # The launcher ends the job, unless the ranks have learned before that too many workers are lost.
    assert mpirobust("inspect", str(out), "--status").stdout in ("running\n", "lost\n")
    assert mpirobust("run", str(plan), "--out", str(out), "--resume", ranks=3).returncode == 0
    _assert_same_bits(out, plan)


def test_nothing_is_left_of_a_network(tmp_path: Path) -> None:
    why = missing()
    if why:
        pytest.skip(f"no hosts here: {why}")
    with network(tmp_path, ["h1", "h2"]) as net:
        host = net.hosts["h2"]
        subprocess.run([*host.enter, "setsid", "--fork", "sleep", "600"], timeout=30, check=True)
        until(lambda: len(host.processes("sleep")) == 2, 10, lambda: str(host.processes()))  # the other is the host's
    until(lambda: not host.processes(), 10, lambda: str(host.processes()))
