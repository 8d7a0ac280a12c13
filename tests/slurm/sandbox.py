"""A SLURM cluster on this machine, without systemd: for tests of the job scripts."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.launching import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "scancel", "scontrol", "squeue", "setpriv")
_OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY"}

# No cgroups, no accounting, nothing bound to CPUs that need not exist. A requeued job may start again when its
# credential has expired, hence cred_expire. A site may requeue no job that does not ask for it, hence JobRequeue.
_CONFIGURATION = """
ClusterName=sandbox
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
JobRequeue=0
KillWait=10
SlurmdTimeout={slurmd_timeout}
SlurmdParameters=config_overrides
MinJobAge=86400
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} State=UNKNOWN\n"
_PORTS = range(10_000, 30_000)  # below those that the system gives to whoever asks for any


@dataclass(frozen=True)
class Job:
    """A submitted job."""

    id: str
    log: Path
    facts: Callable[[], dict[str, str]]

    def wait(self, timeout: float) -> dict[str, str]:
        """What SLURM says of the job when it is over."""
        until(lambda: self.facts()["JobState"] in _OVER, timeout, lambda: f"{self.facts()}\n{self.text()}")
        return self.facts()

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else "(no log)"


class Sandbox:
    """The cluster, up; jobs run as the user that runs the tests."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def submit(self, *arguments: str, folder: Path, env: Mapping[str, str]) -> Job:
        """`sbatch ARGUMENTS` in `folder`."""
        out = self.call("sbatch", "--parsable", "--output=%j.log", *arguments, folder=folder, env=env)
        id = out.strip()
        return self.job(id, folder / f"{id}.log")

    def job(self, id: str, log: Path) -> Job:
        """One that something else submitted."""
        return Job(id, log, lambda: self._facts(id))

    def call(self, *command: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """The output of a SLURM command."""
        done = subprocess.run(
            command, cwd=folder, env={**self._env, **(env or {})}, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _facts(self, id: str) -> dict[str, str]:
        words = self.call("scontrol", "show", "job", "--oneliner", id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


def missing() -> str:
    """Why there can be no sandbox here; empty if there can."""
    if os.geteuid() != 0:
        return "SLURM's daemons have to be started by root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"not on PATH: {', '.join(absent)} (apt-get install slurm-wlm munge)" if absent else ""


@contextmanager
def sandbox(folder: Path, cpus: int, nodes: int = 1, slurmd_timeout: int = 300) -> Iterator[Sandbox]:
    """A cluster whose files are in `folder`; on leaving, its jobs and its daemons have ended.

    Args:
        cpus: of each node; the machine need not have so many.
        slurmd_timeout: seconds of silence after which a node is lost.
    """
    (folder / "state").mkdir()
    key, configuration = folder / "munge.key", folder / "slurm.conf"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    controller_port, *node_ports = _free_ports(1 + nodes)
    names = [f"n{number}" for number in range(1, nodes + 1)]
    host = socket.gethostname().split(".")[0]
    configuration.write_text(
        _CONFIGURATION.format(
            host=host,
            folder=folder,
            controller_port=controller_port,
            nodes=",".join(names),
            slurmd_timeout=slurmd_timeout,
        )
        + "".join(
            _NODE.format(name=each, host=host, port=p, cpus=cpus) for each, p in zip(names, node_ports, strict=True)
        )
    )
    # The tests may themselves run in a job of a real cluster.
    foreign = ("SLURM_", "SBATCH_", "SRUN_", "PMI_", "PMIX_", "OMPI_", "PRTE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env["SLURM_CONF"] = str(configuration)
    cluster = Sandbox(env)
    with ExitStack() as stack:
        stack.callback(_end_strays, configuration)
        munge_files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        socket_path = folder / "munge.socket"
        stack.enter_context(
            _daemon(
                "munged", "--foreground", "--force", f"--socket={socket_path}", *munge_files, folder=folder, env=env
            )
        )
        until(socket_path.exists, 20, lambda: _logs(folder))
        stack.enter_context(_daemon("slurmctld", "-D", "-c", folder=folder, env=env))
        for name in names:
            stack.enter_context(_daemon("slurmd", "-D", "-N", name, folder=folder, env=env))
        until(lambda: _idle(env), 30, lambda: _logs(folder))
        stack.callback(_cancel_all, cluster)
        yield cluster


@contextmanager
def _daemon(*command: str, folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """A child of the tests, which the kernel ends should they be killed."""
    name = "-".join([command[0], *command[command.index("-N") + 1 :]] if "-N" in command else command[:1])
    with (folder / f"{name}.log").open("w") as log:
        child = ["setpriv", "--pdeathsig", "TERM", *command]
        process = subprocess.Popen(child, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


def _free_ports(n: int) -> list[int]:
    """Ports that nobody listens on; another cluster of these tests may start at the same time, hence by lot."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            found.append(port)
        if len(found) == n:
            return found
    raise AssertionError("no free ports")


def _idle(env: Mapping[str, str]) -> bool:
    asked = subprocess.run(["sinfo", "-h", "-o", "%t"], env=env, capture_output=True, text=True, timeout=30)
    return asked.stdout.strip() == "idle"


def _cancel_all(cluster: Sandbox) -> None:
    for id in cluster.call("squeue", "--noheader", "--format=%i").split():
        cluster.call("scancel", id)
    until(lambda: not cluster.call("squeue", "--noheader"), 30, lambda: "jobs that do not end")


def _end_strays(configuration: Path) -> None:
    """SIGKILL to what outlived its daemon; whose it is stands in its environment."""
    mark = f"SLURM_CONF={configuration}".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes().split(b"\0"):
                os.kill(int(environ.parent.name), signal.SIGKILL)
        except OSError:
            continue  # has ended by now


def _logs(folder: Path) -> str:
    return "\n".join(f"== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))
