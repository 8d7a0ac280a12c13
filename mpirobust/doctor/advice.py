"""From what was seen to what should be changed, in plain words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mpirobust import kernels
from mpirobust.doctor.facts import Seen
from mpirobust.doctor.probes import Disk, Network
from mpirobust.errors import Exit

_FREE = 2**30  # bytes that a long run may well write
_SLOW_DISK = 30e6  # bytes per second, at which a run estimates its first checkpoint
_SLOW_ROUND = 1e-3  # seconds of a round without content


@dataclass(frozen=True)
class Finding:
    """One thing to change.

    Attributes:
        text: what is so, and what to do.
        code: with which the doctor ends because of it; OK if a run works all the same.
    """

    text: str
    code: Exit = Exit.OK


@dataclass(frozen=True)
class Job:
    """All that was seen.

    Attributes:
        ranks: in rank order.
        mpi: the versions of the MPI library and its binding.
        launcher: what started the ranks; '' for nothing.
        survives: whether the job survives the death of a rank.
        network: None for one rank.
        disk: None if nothing can be written to the folder of the output, for the reason that `fault` says.
        fault: '' if there is none.
        slurm: the variables of SLURM.
    """

    ranks: Sequence[Seen]
    mpi: Mapping[str, str]
    launcher: str
    survives: bool
    network: Network | None
    disk: Disk | None
    fault: str
    slurm: Mapping[str, str]


def findings(job: Job) -> list[Finding]:
    """Return what to change; what would stop or spoil a run comes first."""
    found = [*_of_versions(job.ranks), *_of_slurm(job), *_of_cores(job), *_of_network(job), *_of_disk(job)]
    return sorted(found, key=lambda each: each.code is Exit.OK)


def by_host(ranks: Sequence[Seen]) -> dict[str, list[Seen]]:
    """Return the ranks of each host."""
    found = defaultdict(list)
    for rank in ranks:
        found[rank.host].append(rank)
    return dict(found)


def _of_versions(ranks: Sequence[Seen]) -> Iterator[Finding]:
    other = next((rank for rank in ranks if rank.versions != ranks[0].versions), None)
    if other is not None:
        both = f"rank {other.number} on {other.host} has {other.versions}, rank 0 has {ranks[0].versions}"
        yield Finding(f"{both}: give all hosts the same environment", Exit.SETUP)
    if any(rank.kernels == kernels.NUMPY for rank in ranks):
        yield Finding("the compiled loops are not used, so rounds are slower: reinstall where there is a C++ compiler")
    if any(not rank.blas for rank in ranks):
        yield Finding("no BLAS is recognised, so its threads are not limited: set OMP_NUM_THREADS=1")
    elif len({rank.blas for rank in ranks}) > 1:
        what = "the ranks use different kernels of BLAS, so the bits depend on who hosts whom"
        yield Finding(f"{what}: set OPENBLAS_CORETYPE to the oldest of their processors")


def _of_slurm(job: Job) -> Iterator[Finding]:
    tasks = job.slurm.get("SLURM_NTASKS", "")
    if tasks.isdecimal() and int(tasks) > len(job.ranks) == 1:
        yield Finding(f"SLURM grants {tasks} tasks, and one process runs: begin the command with srun or mpirun")
    end = job.slurm.get("SLURM_JOB_END_TIME", "")
    if "SLURM_JOB_ID" in job.slurm and not end.isdecimal():
        yield Finding("SLURM does not say when the job ends: give --time-limit, so that a run saves itself in time")


def _of_cores(job: Job) -> Iterator[Finding]:
    for host, ranks in by_host(job.ranks).items():
        number, usable = len(ranks), {core for rank in ranks for core in rank.cores}
        machine, quota = ranks[0].machine, ranks[0].quota
        if number > len(usable) and len(usable) < machine:
            how = "bind each to its own (mpirun --map-by core, srun --cpus-per-task=1)"
            yield Finding(f"{number} ranks on {host} share {len(usable)} of its {machine} cores: {how}")
        elif number > len(usable):
            yield Finding(
                f"{host} has {machine} cores for {number} ranks, which wait for one another: start fewer there"
            )
        elif quota is not None and quota < number:
            yield Finding(
                f"the container on {host} grants {quota:g} cores to {number} ranks: start fewer, or ask for more"
            )
        elif quota is not None and quota < len(usable):
            threads = max(1, int(quota / number))
            yield Finding(f"the container on {host} grants {quota:g} of {len(usable)} cores: give --threads {threads}")


def _of_network(job: Job) -> Iterator[Finding]:
    crowded = any(len(ranks) > len({*ranks[0].cores}) for ranks in by_host(job.ranks).values())
    if job.network is not None and job.network.empty > _SLOW_ROUND and not crowded:
        what = f"a round without content takes {1e3 * job.network.empty:.1f} ms"
        yield Finding(f"{what}: ask for the fast network of the machine, or put more workers on fewer ranks")


def _of_disk(job: Job) -> Iterator[Finding]:
    if job.disk is None:
        yield Finding(f"{job.fault}: give another folder as --out", Exit.STORAGE)
        return
    folder = job.disk.folder
    if job.disk.free < _FREE:
        yield Finding(f"{job.disk.free / 1e6:.0f} MB are free in {folder}: make room, or give another --out")
    if job.disk.speed < _SLOW_DISK:
        what = f"{folder} takes {job.disk.speed / 1e6:.1f} MB/s"
        yield Finding(f"{what}: give a faster folder as --out, or raise checkpoint.every")
    if not job.disk.locks:
        yield Finding(f"{folder} has no file locks, so two jobs may spoil one run: give each job an --out of its own")
