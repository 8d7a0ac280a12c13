"""How this process was started: alone, or as one of many by an MPI launcher."""

from __future__ import annotations

import ctypes
import os
import signal

from mpirobust.cluster.local import LocalWorld
from mpirobust.cluster.ranks import survives_deaths
from mpirobust.cluster.world import World
from mpirobust.errors import ReportedFault, SetupFault

# (size, rank) as Open MPI, MPICH and its kin, MVAPICH, PALS, Flux, and srun set them; the first that is set counts.
_LAUNCHERS = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("PALS_SIZE", "PALS_RANKID"),
    ("FLUX_JOB_SIZE", "FLUX_TASK_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
]

# Over several hosts, `han` crashes where a rank has died, or returns success with anything in the buffer
# (https://github.com/open-mpi/ompi/issues/11794). The other two are what Open MPI itself leaves out under ULFM.
_COLLECTIVES = ("OMPI_MCA_coll", "^han,hcoll,portals4")
_START_SECONDS = 300  # until all ranks have to be in MPI


def launched_as() -> tuple[int, int] | None:
    """(number of processes, number of this one) as the launcher says; None without a launcher."""
    for size, rank in _LAUNCHERS:
        if os.environ.get(size, "").isdigit() and os.environ.get(rank, "").isdigit():
            return int(os.environ[size]), int(os.environ[rank])
    return None


def open_world() -> World:
    """The processes of this job; MPI is loaded only under a launcher.

    Raises:
        SetupFault: the launcher started several processes and MPI sees only this one.
    """
    launched = launched_as()
    if launched is None:
        return LocalWorld()
    if survives_deaths():
        os.environ.setdefault(*_COLLECTIVES)
        _end_unless_started()
    try:
        os.environ.setdefault("MPI4PY_RC_THREAD_LEVEL", "funneled")  # only one thread of ours calls MPI
        from mpirobust.cluster.mpi import MpiWorld
    except (ImportError, RuntimeError) as error:
        raise _once(launched, f"mpi4py cannot load an MPI library: {error}") from error
    signal.alarm(0)
    world = MpiWorld()
    if world.size == 1 and launched[0] > 1:
        raise _once(
            launched,
            f"the launcher started {launched[0]} processes, but MPI sees one: launcher and MPI library do not belong "
            f"together ({world.versions()['mpi']}); use the mpirun of that library, or srun with the right --mpi",
        )
    return world


def _end_unless_started() -> None:
    """A rank that is dead by now leaves the others waiting in MPI_Init, where no handler of Python's runs.

    SIGALRM, uncaught, would be one more death that the launcher takes for survived: with `_exit` for its handler the
    code is its number.
    """
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGALRM, libc._exit)
    signal.alarm(_START_SECONDS)


def _once(launched: tuple[int, int], message: str) -> Exception:
    return SetupFault(message) if launched[1] == 0 else ReportedFault(SetupFault.code)
