"""The doctor sees every rank, says what to change and nothing else, and its code is that of the worst finding."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpirobust.comm.local import LocalCommunicator
from mpirobust.doctor import facts, probes
from mpirobust.doctor.advice import Job, findings
from mpirobust.doctor.facts import Seen
from mpirobust.doctor.probes import Disk, Network
from mpirobust.doctor.report import as_text, examine
from mpirobust.errors import Exit, StorageFault
from tests.support.alone import command_alone
from tests.support.ranks import together

_RANK = Seen(0, "a", "mpirobust 1, Python 3", "avx2", "openblas 1 Haswell", 8, [0, 1], 8, None)
_RANKS = [replace(_RANK, number=at, host="ab"[at // 2], cores=[2 * at % 4, 2 * at % 4 + 1]) for at in range(4)]
_SOUND = Job(
    ranks=_RANKS,
    mpi={"mpi": "Open MPI v5.0, package: of somebody", "mpi4py": "4.1"},
    launcher="prted (OMPI_COMM_WORLD_SIZE = 4)",
    survives=True,
    network=Network(1e-5, 1e9, 1e9),
    disk=Disk("runs", 10**12, 1e9, locks=True),
    fault="",
    slurm={},
)


def _all(**changes: Any) -> list[Seen]:
    return [replace(rank, **changes) for rank in _RANKS]


def _on_a(**changes: Any) -> list[Seen]:
    return [replace(rank, **changes) if rank.host == "a" else rank for rank in _RANKS]


# Changes of a job with which nothing is wrong; what is advised, and the code.
_WRONG: dict[str, tuple[Callable[[], Job], str, Exit]] = {
    "other versions": (
        lambda: replace(_SOUND, ranks=[*_RANKS[:3], replace(_RANKS[3], versions="mpirobust 2")]),
        "rank 3 on b has mpirobust 2, rank 0 has mpirobust 1, Python 3: give all hosts the same environment",
        Exit.SETUP,
    ),
    "no loops": (lambda: replace(_SOUND, ranks=_all(kernels="numpy")), "reinstall where there is a C++", Exit.OK),
    "no BLAS": (lambda: replace(_SOUND, ranks=_all(blas="")), "set OMP_NUM_THREADS=1", Exit.OK),
    "two BLAS": (
        lambda: replace(_SOUND, ranks=[*_RANKS[:3], replace(_RANKS[3], blas="openblas 1 Zen")]),
        "set OPENBLAS_CORETYPE",
        Exit.OK,
    ),
    "bound to one core": (
        lambda: replace(_SOUND, ranks=_on_a(cores=[0])),
        "2 ranks on a share 1 of its 8 cores",
        Exit.OK,
    ),
    "too many ranks": (
        lambda: replace(_SOUND, ranks=_on_a(machine=1, cores=[0])),
        "a has 1 cores for 2 ranks, which wait for one another: start fewer there",
        Exit.OK,
    ),
    "small container": (lambda: replace(_SOUND, ranks=_on_a(quota=1.5)), "grants 1.5 cores to 2 ranks", Exit.OK),
    "narrow container": (lambda: replace(_SOUND, ranks=_on_a(quota=3.0)), "of 4 cores: give --threads 1", Exit.OK),
    "slow network": (lambda: replace(_SOUND, network=Network(0.02, 1e9, 1e9)), "takes 20.0 ms", Exit.OK),
    "no folder": (lambda: replace(_SOUND, disk=None, fault="cannot write to x"), "give another folder", Exit.STORAGE),
    "little room": (lambda: replace(_SOUND, disk=Disk("runs", 10**6, 1e9, True)), "1 MB are free in runs", Exit.OK),
    "slow disk": (lambda: replace(_SOUND, disk=Disk("runs", 10**12, 1e6, True)), "runs takes 1.0 MB/s", Exit.OK),
    "no locks": (lambda: replace(_SOUND, disk=Disk("runs", 10**12, 1e9, False)), "has no file locks", Exit.OK),
    "one of many tasks": (
        lambda: replace(_SOUND, ranks=_RANKS[:1], slurm={"SLURM_NTASKS": "4"}),
        "SLURM grants 4 tasks, and one process runs",
        Exit.OK,
    ),
    "no end of the job": (lambda: replace(_SOUND, slurm={"SLURM_JOB_ID": "7"}), "give --time-limit", Exit.OK),
}


def test_nothing_is_advised_where_nothing_is_wrong() -> None:
    assert findings(_SOUND) == []
    assert as_text(_SOUND, []).endswith("\n\nNothing to change.")


@pytest.mark.parametrize("name", _WRONG)
def test_what_is_wrong_is_the_one_thing_to_change(name: str) -> None:
    job, advice, code = _WRONG[name]
    (found,) = findings(job())
    assert advice in found.text
    assert found.code == code
    assert as_text(job(), [found]).endswith(f"To change:\n- {found.text}")


def test_the_worst_comes_first() -> None:
    job = replace(_SOUND, ranks=_all(kernels="numpy"), disk=None, fault="no")
    assert [each.code for each in findings(job)] == [Exit.STORAGE, Exit.OK]


def test_crowded_ranks_are_not_told_that_their_network_is_slow() -> None:
    job = replace(_SOUND, ranks=_all(machine=1, cores=[0]), network=Network(0.02, 1e9, 1e9))
    assert len(findings(job)) == 2  # one a host


def test_the_text_has_every_host_and_number() -> None:
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "0"}
    text = as_text(replace(_SOUND, slurm=slurm), [])
    assert (
        "Open MPI v5.0, mpi4py 4.1; started by prted (OMPI_COMM_WORLD_SIZE = 4); a rank that fails is survived" in text
    )
    assert "ranks     ranks 0-1 on a, each on 2 of its 8 cores\nranks     ranks 2-3 on b" in text
    assert "SLURM_JOB_ID = 7, SLURM_JOB_END_TIME = 1970-01-01 00:00:00 UTC" in text
    assert "runs: 1000.0 GB free, 1000 MB/s, file locks work" in text
    assert "a round without content takes 0.010 ms; 1000 MB/s to each rank" in text


def test_all_ranks_are_examined_and_the_network_is_measured(tmp_path: Path) -> None:
    job, *others = together(3, lambda comm: examine(comm, tmp_path / "runs"))
    assert others == [None, None]
    assert job is not None
    assert [rank.number for rank in job.ranks] == [0, 1, 2]
    assert job.network is not None
    assert min(job.network.empty, job.network.down, job.network.up) > 0
    assert job.disk is not None
    assert job.disk.folder == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_rank_has_no_network(tmp_path: Path) -> None:
    job = examine(LocalCommunicator(), tmp_path)
    assert job is not None
    assert job.network is None
    assert "one process, which no launcher has started" in as_text(job, [])


@pytest.mark.parametrize(
    ("content", "cores"), [("max 100000", None), ("150000 100000\n", 1.5), ("", None), ("x y", None)]
)
def test_the_quota_of_a_container(content: str, cores: float | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert facts._quota(tmp_path / "cpu.max") == cores
    assert facts._quota(tmp_path / "missing") is None


def test_a_folder_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    assert probes.disk(tmp_path).locks
    monkeypatch.setattr(fcntl, "flock", none)
    assert not probes.disk(tmp_path).locks
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)  # as with locks that only one process sees
    assert not probes.disk(tmp_path).locks


def test_a_folder_that_nobody_can_write_to(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StorageFault, match="cannot write to /proc/x"):
        probes.disk(Path("/proc/x"))
    assert command_alone("doctor", "--out", "/proc/x") == Exit.STORAGE
    said = capsys.readouterr()
    assert "- cannot write to /proc/x" in said.out
    assert said.err == ""


def test_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_alone("doctor", "--out", str(tmp_path)) == Exit.OK
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:7]] == [
        *("software", "MPI", "ranks", "loops", "SLURM", "output", "network")
    ]
