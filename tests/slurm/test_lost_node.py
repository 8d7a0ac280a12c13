"""A node of a job falls silent: SLURM brings the job back without it, and it ends in the same bits."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.jobs import FAKE_CPUS, JOBS, assert_same_bits, status, write_plan
from tests.slurm.sandbox import missing, sandbox
from tests.support.launching import until


def _on(node: str, configuration: Path, folder: Path) -> Iterator[int]:
    """The processes of the node of this cluster: its daemon, those of the job that began in `folder`, their parents."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (process / "environ").read_text(errors="replace").split("\0")
            if f"SLURM_CONF={configuration}" not in environment:
                continue
            if (process / "cmdline").read_bytes().split(b"\0")[:4] == [b"slurmd", b"-D", b"-N", node.encode()]:
                yield int(process.name)
            if {f"SLURMD_NODENAME={node}", f"SLURM_SUBMIT_DIR={folder}"} <= set(environment):
                yield int(process.name)
                yield int((process / "stat").read_text().rpartition(")")[2].split()[1])


def test_a_silent_node(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A node is lost inside an allocation; SLURM itself brings the job back."""
    if why := missing():
        pytest.skip(f"no SLURM here: {why}")
    env = {**FAKE_CPUS, "MPIROBUST_LAUNCHER": "mpirun"}
    plan, out = write_plan(tmp_path, rows=400, rounds=10**6), tmp_path / "out"
    nodes = tmp_path_factory.mktemp("nodes")
    with sandbox(nodes, cpus=8, nodes=3, slurmd_timeout=10) as cluster:
        spread = ["--ntasks=5", "--nodes=2-3"]
        command = [str(JOBS / "run.sbatch"), plan.name, "--out=out", "--set=checkpoint.every=50"]
        job = cluster.submit(*spread, *command, folder=tmp_path, env=env)
        until(lambda: any(out.glob("checkpoint-*.h5")), 60, job.text)
        silent = list(_on("n3", nodes / "slurm.conf", tmp_path))
        try:
            for pid in silent:
                os.kill(pid, signal.SIGSTOP)
            until(lambda: "n3 down*" in cluster.call("sinfo", "-h", "-N", "-o", "%N %t"), 60, job.text)
        finally:
            for pid in silent:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        rounds = status(out)[1] + 50
        write_plan(tmp_path, rows=400, rounds=rounds)
        facts = job.wait(120)
        assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", "1"), job.text()
        assert "DUE TO NODE FAILURE" in job.text()
        assert facts["NodeList"] == "n[1-2]"
    assert_same_bits(out, plan, rounds)
