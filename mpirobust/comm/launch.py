"""The start of this process: alone, or as one of many by an MPI launcher."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from mpirobust.comm.communicator import Communicator
from mpirobust.comm.local import LocalCommunicator
from mpirobust.errors import PlanFault, RankFault, ReportedFault, SetupFault

# (size, rank) as set by Open MPI, MPICH and derivatives, MVAPICH, PALS, Flux and srun; the first that is set counts.
_LAUNCHERS = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("PALS_SIZE", "PALS_RANKID"),
    ("FLUX_JOB_SIZE", "FLUX_TASK_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
]

# The programs that start the processes of these launchers, as `ps -o comm` has them.
_STARTERS = (
    "prte",
    "orte",
    "mpirun",
    "mpiexec",
    "hydra_",
    "pmi_proxy",
    "mpispawn",
    "palsd",
    "flux-shell",
    "slurmstepd",
)

# Over several hosts, `han` crashes if a rank has failed, or returns success with anything in the buffer
# (https://github.com/open-mpi/ompi/issues/11794). The other two are what Open MPI itself leaves out under ULFM.
_COLLECTIVES = ("OMPI_MCA_coll", "^han,hcoll,portals4")
_ULFM = "OMPI_MCA_mpi_ft_enable"  # set by `mpirun --with-ft ulfm`
_START_SECONDS = 300  # until all ranks have to have met in MPI
_SECONDS_TO_SPEAK = 3.0  # that rank 0 has before the others exit


def launched_as() -> tuple[int, int] | None:
    """Return (number of processes, number of this one) as the launcher says; None without a launcher."""
    for size, rank in _LAUNCHERS:
        if os.environ.get(size, "").isdigit() and os.environ.get(rank, "").isdigit():
            return int(os.environ[size]), int(os.environ[rank])
    return None


def launcher() -> str:
    """Return what started this process as one of several, and the variables that say so; '' without a launcher."""
    found = next((size for size, rank in _LAUNCHERS if {size, rank} <= os.environ.keys()), "")
    return f"{_parent() or 'another host'} ({found} = {os.environ[found]})" if found else ""


def speaks() -> bool:
    """Return whether this process prints what every process of the job would print.

    That is rank 0; and a process that is not the launcher's own. A shell or a subprocess of a rank inherits the
    variables of the rank, so there may be no other process to answer. A script between the launcher and every rank
    looks the same, so that all ranks print, unless it ends in `exec mpirobust`.
    """
    launched = launched_as()
    return launched is None or launched[1] == 0 or not _started_by_launcher()


def _started_by_launcher() -> bool:
    return _parent().startswith(_STARTERS)


def _parent() -> str:
    """Return the name of the program that started this process; '' if it cannot be known."""
    with suppress(OSError):
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    return ""


def launcher_tolerates_failure() -> bool:
    """Return whether a process may end without MPI_Finalize: not if `mpirun` is seen here without `--with-ft`.

    The variable may come from a profile. On another host than `mpirun` it cannot be known.
    """
    with suppress(OSError):
        name, *options = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
        return not name.endswith((b"prterun", b"mpirun")) or b"--with-ft" in options
    return True


def survives_rank_failure() -> bool:
    """Return whether the launcher was `mpirun --with-ft ulfm`."""
    return os.environ.get(_ULFM) == "1"


def open_communicator() -> Communicator:
    """Return the communicator of this job; MPI is loaded only under a launcher. The next call has to be `meet`.

    Raises:
        SetupFault: there is no MPI library, or the launcher started several processes and MPI sees only this one.
        ReportedFault: the same, on all ranks but the first.
    """
    launched = launched_as()
    if launched is None:
        return LocalCommunicator()
    if survives_rank_failure():
        os.environ.setdefault(*_COLLECTIVES)
        end_after(_START_SECONDS)  # if another rank has failed, MPI_Init never returns
    try:
        os.environ.setdefault("MPI4PY_RC_THREAD_LEVEL", "funneled")  # only one thread of ours calls MPI
        from mpirobust.comm.mpi import MpiCommunicator
    except (ImportError, RuntimeError) as error:
        raise _once(f"mpi4py cannot load an MPI library: {error}") from error
    comm = MpiCommunicator()
    if comm.size == 1 and launched[0] > 1:
        raise _once(
            f"the launcher started {launched[0]} processes, but MPI sees one. {_way_out()} Otherwise launcher and MPI "
            f"library do not belong together ({comm.versions()['mpi']}): use the mpirun of that library, or srun with "
            f"the right --mpi"
        )
    return comm


def communicator_of(comm: object) -> Communicator:
    """Return a communicator of the same processes whose messages meet no others. Collective; theirs is left as it is.

    Args:
        comm: an intracommunicator of mpi4py, or a `Communicator`, which is returned.

    Raises:
        PlanFault: it is neither.
        RankFault: a rank of it has died; on all survivors.
    """
    if isinstance(comm, Communicator):
        return comm
    from mpi4py import MPI

    if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
        raise PlanFault("comm", f"expected an intracommunicator of mpi4py, not {comm!r}")
    from mpirobust.comm.mpi import MpiCommunicator

    made = MpiCommunicator(comm)
    if made.size < comm.Get_size():
        raise RankFault("a rank of the communicator has died; give comm.Shrink() in place of comm")
    return made


def meet(comm: Communicator) -> None:
    """Return when all ranks are in MPI.

    Open MPI may not tell all ranks of one that dies at the beginning of their first call, which then never returns on
    them: they end after a while.

    Raises:
        RankFault, ReportedFault: a rank has died.
    """
    if survives_rank_failure():
        comm.first_failure(0)
        signal.alarm(0)


def _way_out() -> str:
    """Return what to do if there was no launcher."""
    claimed = {size: rank for size, rank in _LAUNCHERS if size in os.environ}
    names = ", ".join(name for pair in claimed.items() for name in pair)
    alone = " ".join(f"-u {size}" for size in claimed)
    return f"If no launcher started this process, {names} in its environment mislead it: run `env {alone} mpirobust`."


def end_after(seconds: int) -> None:
    """End this process after so many seconds, even in MPI, where no Python handler runs; `signal.alarm(0)` stops it.

    If it is to end sooner already, that stands.

    The launcher treats death by signal as survivable, so install `_exit` as the handler: the process then exits with
    code 14 (SIGALRM).
    """
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGALRM, libc._exit)
    left = signal.alarm(seconds)
    if 0 < left < seconds:
        signal.alarm(left)


def _once(message: str) -> Exception:
    """Return the fault that makes one rank print `message` and all end with the same code."""
    if speaks():
        return SetupFault(message)
    let_rank_0_speak()
    return ReportedFault(SetupFault.code)


def let_rank_0_speak() -> None:
    """Wait, on another rank without MPI: the launcher kills all ranks when the first one exits."""
    time.sleep(_SECONDS_TO_SPEAK)
