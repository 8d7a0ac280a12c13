"""The facts about each rank, its process and its machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from threadpoolctl import ThreadpoolController

import mpirobust
from mpirobust import kernels
from mpirobust.numerics import blas
from mpirobust.running.ranks import cores

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of CPU time, or "max", in so many of the clock
_SLURM = (
    *("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_NTASKS", "SLURM_CPUS_PER_TASK", "SLURM_MPI_TYPE"),
    *("SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_END_TIME"),
)


@dataclass(frozen=True)
class Seen:
    """The facts about one rank.

    Attributes:
        number: of the rank, the launcher's.
        host: its machine.
        versions: of mpirobust and of Python, which all ranks have to have alike.
        kernels: the compiled loops in use.
        blas: its libraries, as `numerics/blas.py` names them.
        threads: that BLAS takes where nobody limits it.
        cores: the numbers of those that the process may use.
        machine: how many cores the machine has.
        quota: how many cores' time the container grants; None if it does not say.
    """

    number: int
    host: str
    versions: str
    kernels: str
    blas: str
    threads: int
    cores: Sequence[int]
    machine: int
    quota: float | None


def seen(number: int) -> Seen:
    """Return what this process sees; BLAS has one thread afterwards."""
    threads = max((pool["num_threads"] for pool in ThreadpoolController().info()), default=1)
    return Seen(
        number=number,
        host=platform.node(),
        versions=f"mpirobust {mpirobust.__version__}, Python {platform.python_version()}",
        kernels=kernels.in_use(),
        blas=blas.limit_threads(),
        threads=threads,
        cores=cores(),
        machine=os.cpu_count() or 1,
        quota=_quota(_QUOTA),
    )


def encoded(facts: Seen) -> bytes:
    """Return the facts for another rank."""
    return json.dumps(asdict(facts)).encode()


def decoded(data: bytes) -> Seen:
    """Return the facts of another rank."""
    return Seen(**json.loads(data))


def _quota(file: Path) -> float | None:
    with suppress(OSError, ValueError):
        granted, period = file.read_text().split()
        return None if granted == "max" else int(granted) / int(period)
    return None


def of_slurm(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of SLURM that say what the job has."""
    return {name: environment[name] for name in _SLURM if name in environment}
