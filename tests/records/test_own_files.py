"""A run writes, empties and removes what a run has made, and nothing else; and it needs no locks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

import h5py
import pytest

from mpirobust.errors import Fault, SetupFault, StorageFault
from mpirobust.files import write_whole
from mpirobust.records import run_folder
from mpirobust.records.layout import KEPT, checkpoint_path, checkpoints
from tests.support.alone import command_alone, run_alone
from tests.support.strangers import FOREIGN, LINKED, PRECIOUS, STRANGERS, traces
from tests.support.traces import contents

PLAN = """
seed = 1
workers = 4
data = { kind = "regression", rows = 40, features = 5 }
problem.kind = "least-squares"
algorithm = { kind = "first-order", rounds = 6, step = 0.1 }
aggregator.kind = "mean"
checkpoint.every = 2
"""
OPTIONS = [(), ("--resume",), ("--overwrite",)]


def new(scratch: Path) -> None:
    scratch.write_bytes(b"new")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def refused(out: Path, plan: Path, option: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = traces(out)
    assert command_alone("run", str(plan), "--out", str(out), *option) == 2
    *notes, told = capsys.readouterr().err.splitlines()
    assert told.startswith("mpirobust: ")
    assert said in told
    assert all("holds no run to resume" in note for note in notes)
    after = traces(out)
    after.pop("run.lock", None)
    before.pop("run.lock", None)
    assert after == before


@pytest.mark.parametrize("stranger", LINKED)
@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_the_lock_is_a_file_of_its_own_or_the_run_is_refused(
    stranger: str, option: tuple[str, ...], plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    LINKED[stranger](out / "run.lock")
    refused(
        out,
        plan,
        option,
        f"{out}/run.lock is a link, hard or soft, or not a regular file, and is left as it is",
        capsys,
    )
    if "link" in stranger and stranger != "dangling link":
        assert (out / "precious.txt").read_bytes() == PRECIOUS
    assert not (out / "nowhere").exists()


def test_the_lock_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_bytes(PRECIOUS)
    run_folder.lock(tmp_path).close()
    assert (tmp_path / "run.lock").read_bytes() == PRECIOUS


@pytest.mark.parametrize("stranger", FOREIGN)
@pytest.mark.parametrize("name", ["run.h5", "checkpoint-000000002.h5", "checkpoint-1000000000.h5"])
@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_what_has_the_name_of_a_file_of_ours_stays(
    stranger: str,
    name: str,
    option: tuple[str, ...],
    plan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    FOREIGN[stranger](out / name)
    refused(out, plan, option, str(out), capsys)


# Names that a glob takes for those of a run, each with a user's file or folder behind it.
USERS = [
    *("checkpoint-keep1.h5", "checkpoint-keep2.h5", "checkpoint-best.h5", "checkpoint-epoch01.h5"),
    *("checkpoint-000000004 (1).h5", "checkpoint-00000004.h5", "checkpoint-0000000004.h5", "checkpoint-٠٠٠٠٠٠٠٠٤.h5"),
    *("checkpoint-000000004.h5.bak", "run.h5.bak", "run-old.h5", ".run.h5.swp"),
    *(".download.part", ".notes.txt.part", "run.h5.part", ".checkpoint-best.h5.x.part", ".run.h5.part"),
]


@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_what_is_called_alike_stays(option: tuple[str, ...], plan: Path, tmp_path: Path) -> None:
    """Files of a user, and folders: beside a run that is begun, goes on, or is replaced."""
    out = tmp_path / "out"
    out.mkdir()
    if option:
        run_alone(plan, out, "algorithm.rounds=3")
    for name in USERS:
        (out / name).write_bytes(PRECIOUS)
    for name in (".x.part", ".run.h5.abc.part", "checkpoint-folder.h5"):
        (out / name).mkdir()
    assert command_alone("run", str(plan), "--out", str(out), *option) == 0
    assert {name for name in USERS if (out / name).read_bytes() != PRECIOUS} == set()
    assert (out / ".x.part").is_dir()
    assert (out / ".run.h5.abc.part").is_dir()
    assert list(checkpoints(out)) == [4, 6]


def test_copies_of_checkpoints_are_no_checkpoints(plan: Path, tmp_path: Path) -> None:
    """They sort after ours; a run that takes them for its newest drops each of its own as soon as it is written."""
    whole, out = run_alone(plan, tmp_path / "whole"), run_alone(plan, tmp_path / "out", "algorithm.rounds=2")
    for name in ("keep1", "keep2", "999999999-old"):
        shutil.copy(checkpoint_path(out, 2), out / f"checkpoint-{name}.h5")
    run_alone(plan, out, resume=True)
    assert list(checkpoints(out)) == list(checkpoints(whole)) == [4, 6]
    (out / "run.h5").unlink()
    assert run_folder.holds_run(out)
    for path in checkpoints(out).values():
        path.unlink()
    assert not run_folder.holds_run(out)


def test_checkpoints_are_in_the_order_of_their_rounds(tmp_path: Path) -> None:
    """Also beyond nine digits, where the order of the letters is another one."""
    rounds = [999_999_998, 999_999_999, 1_000_000_000, 10_000_000_000]
    for round in rounds:
        checkpoint_path(tmp_path, round).touch()
    assert list(checkpoints(tmp_path)) == rounds
    run_folder.prune(tmp_path, after=1_000_000_000)
    assert list(checkpoints(tmp_path)) == rounds[1:3]
    assert KEPT == 2


def test_the_folder_itself_may_be_a_link_and_so_may_the_plan(plan: Path, tmp_path: Path) -> None:
    """As to the scratch file system of a cluster."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "scratch")
    (tmp_path / "linked.toml").symlink_to(plan)
    run_alone(tmp_path / "linked.toml", tmp_path / "out", "algorithm.rounds=2")
    run_alone(tmp_path / "linked.toml", tmp_path / "out", resume=True)
    assert (tmp_path / "out").is_symlink()
    assert list(checkpoints(tmp_path / "scratch")) == [4, 6]


def test_own_files_are_replaced_whether_damaged_or_not(plan: Path, tmp_path: Path) -> None:
    out = run_alone(plan, tmp_path / "out")
    for path in (out / "run.h5", *checkpoints(out).values()):
        path.write_bytes(path.read_bytes()[:700])
    (out / "checkpoint-000000009.h5").touch()
    assert command_alone("run", str(plan), "--out", str(out), "--overwrite") == 0
    assert list(checkpoints(out)) == [4, 6]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_results_replace_files_and_links_only(stranger: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    STRANGERS[stranger](path)
    before = traces(tmp_path)
    if "link" in stranger:
        write_whole(path, new)
        assert path.read_bytes() == b"new"
        assert not path.is_symlink()
        del before["table.csv"]
        assert before.items() <= traces(tmp_path).items()
    else:
        with pytest.raises(SetupFault, match=r"table\.csv: it is not a regular file"):
            write_whole(path, new)
        assert traces(tmp_path) == before


@pytest.mark.parametrize("command", ["run", "check", "data", "inspect", "report"])
@pytest.mark.parametrize("stranger", ["pipe", "folder", "socket"])
def test_a_command_waits_for_no_pipe(
    command: str, stranger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("run.h5" if command in ("inspect", "report") else "plan.toml")
    STRANGERS[stranger](path)
    code = command_alone(command, str(path if command != "report" else tmp_path))
    said = capsys.readouterr()
    assert (code, said.err.count("\n")) == ((0, 0) if command == "report" else (2, 1))
    assert str(tmp_path) in said.out + said.err


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_permissions_that_a_user_gave_stay(mode: int, plan: Path, tmp_path: Path) -> None:
    out = run_alone(plan, tmp_path / "out", "algorithm.rounds=2")
    (out / "run.h5").chmod(mode)
    group = next((each for each in os.getgroups() if each != (out / "run.h5").stat().st_gid), None)
    group = 1 if os.geteuid() == 0 else group
    if group is not None:
        os.chown(out / "run.h5", -1, group)
    run_alone(plan, out, resume=True)
    state = (out / "run.h5").stat()
    assert state.st_mode & 0o777 == mode
    assert group in (None, state.st_gid)
    assert checkpoint_path(out, 6).stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_group_that_cannot_be_given_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    (tmp_path / "run.h5").touch(mode=0o600)
    monkeypatch.setattr(os, "chown", refuse)
    write_whole(tmp_path / "run.h5", new)
    assert (tmp_path / "run.h5").stat().st_mode & 0o777 == 0o600


NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.EACCES]


@pytest.mark.parametrize("number", NO_LOCKS, ids=errno.errorcode.get)
def test_that_there_are_no_locks_is_said_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _take_locks_away(number, monkeypatch)
    for name in ("a", "a", "b"):
        run_folder.lock(tmp_path / name).close()
    said = "two jobs that write to the same folder cannot be told apart"
    assert capsys.readouterr().err == f"note: no file locks here ({os.strerror(number)}): {said}\n"


def test_without_locks_nothing_is_lost(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _take_locks_away(errno.ENOLCK, monkeypatch)
    out = tmp_path / "out"
    for command in (["run", str(plan), "--out", str(out)], ["inspect", str(out)], ["report", str(out)]):
        assert command_alone(*command) == 0
    assert command_alone("run", str(plan), "--out", str(out), "--resume", "--set", "algorithm.rounds=8") == 0
    assert contents(out).keys() == {"run.h5", "checkpoint-000000006.h5", "checkpoint-000000008.h5"}


def _take_locks_away(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    run_folder._note_no_locks.cache_clear()


def test_our_files_are_opened_without_a_lock(plan: Path, tmp_path: Path) -> None:
    """A writer of HDF5 elsewhere holds one, which HDF5 would refuse to share."""
    path = run_alone(plan, tmp_path / "out") / "run.h5"
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert command_alone("inspect", str(path), "--status") == 0
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r", locking=True)


def test_a_folder_that_cannot_be_read_is_a_fault_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint_path(tmp_path, 5).write_bytes(b"x")
    monkeypatch.setattr(run_folder, "bears_lead", _input_output_error)
    with pytest.raises(StorageFault, match=r"checkpoint-000000005\.h5: cannot be read \(Input/output error\); nothing"):
        run_folder.choose_folder(tmp_path, "plan", resume=False, overwrite=True)


def _input_output_error(path: Path) -> bool:
    raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))


def test_an_open_lock_is_closed_when_refused(tmp_path: Path) -> None:
    LINKED["pipe"](tmp_path / "run.lock")
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(Fault):
        run_folder.lock(tmp_path)
    assert set(Path("/proc/self/fd").iterdir()) == before
