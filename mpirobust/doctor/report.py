"""The doctor: looks at everything, on all ranks, and says it on one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mpirobust.comm.communicator import Communicator, named
from mpirobust.comm.launch import launcher
from mpirobust.doctor import probes
from mpirobust.doctor.advice import Finding, Job, by_host
from mpirobust.doctor.facts import Seen, decoded, encoded, of_slurm, seen
from mpirobust.errors import StorageFault


def examine(comm: Communicator, out: Path) -> Job | None:
    """Return what all ranks see, on the root; None on the others. Collective.

    Args:
        out: the folder for the output.

    Raises:
        RankFault, ReportedFault: a rank has failed.
    """
    told = comm.gather_bytes(encoded(seen(comm.number)))
    network = probes.network(comm) if comm.size > 1 else None
    if not comm.is_root:
        return None
    disk, fault = None, ""
    try:
        disk = probes.disk(out)
    except StorageFault as error:
        fault = str(error)
    ranks = [decoded(each) for each in told]
    return Job(ranks, comm.versions(), launcher(), comm.survives, network, disk, fault, of_slurm())


def as_text(job: Job, findings: Sequence[Finding]) -> str:
    """Return what was seen, line by line, and what to change."""
    first = job.ranks[0]
    blas = f"{first.blas or 'no known BLAS'}, of which a run uses 1 thread, not {first.threads}"
    lines = [
        ("software", f"{first.versions}, NumPy {version('numpy')}, h5py {version('h5py')} with HDF5 {_hdf5()}"),
        ("MPI", _mpi(job)),
        *(("ranks", _host(host, ranks)) for host, ranks in by_host(job.ranks).items()),
        ("loops", f"{first.kernels}; {blas}"),
        ("SLURM", _slurm(job) or "no job"),
        ("output", _disk(job)),
        ("network", _network(job)),
    ]
    shown = [f"{name:<10}{text}" for name, text in lines]
    advice = [f"- {each.text}" for each in findings]
    return "\n".join([*shown, "", *(["To change:", *advice] if advice else ["Nothing to change."])])


def _hdf5() -> str:
    import h5py

    found: str = h5py.version.hdf5_version
    return found


def _mpi(job: Job) -> str:
    if not job.launcher:
        return "not loaded: one process, which no launcher has started; mpirun or srun start several"
    dies = "a rank that fails is survived (ULFM)" if job.survives else "a rank that fails ends the job (no ULFM)"
    library = f"{job.mpi['mpi'].partition(',')[0]}, mpi4py {job.mpi.get('mpi4py', '-')}"
    return f"{library}; started by {job.launcher}; {dies}"


def _host(host: str, ranks: Sequence[Seen]) -> str:
    few, many = (extreme(len(rank.cores) for rank in ranks) for extreme in (min, max))
    cores = f"{few} to {many}" if few < many else f"{few}"
    granted = "" if ranks[0].quota is None else f"; its container grants {ranks[0].quota:g}"
    who = named("rank", [rank.number for rank in ranks])
    return f"{who} on {host}, each on {cores} of its {ranks[0].machine} cores{granted}"


def _slurm(job: Job) -> str:
    found = dict(job.slurm)
    if (end := found.get("SLURM_JOB_END_TIME", "")).isdecimal():
        found["SLURM_JOB_END_TIME"] = f"{datetime.fromtimestamp(int(end), UTC):%F %T} UTC"
    return ", ".join(f"{name} = {value}" for name, value in found.items())


def _disk(job: Job) -> str:
    if job.disk is None:
        return job.fault
    locks = "file locks work" if job.disk.locks else "no file locks"
    return f"{job.disk.folder}: {job.disk.free / 1e9:.1f} GB free, {job.disk.speed / 1e6:.0f} MB/s, {locks}"


def _network(job: Job) -> str:
    if job.network is None:
        return "none: one rank"
    down, up = (f"{speed / 1e6:.0f} MB/s" for speed in (job.network.down, job.network.up))
    return f"a round without content takes {1e3 * job.network.empty:.3f} ms; {down} to each rank, {up} from all"
