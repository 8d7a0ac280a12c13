"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mpirobust.errors import Exit, StorageFault
from mpirobust.files import write_whole
from mpirobust.records.run_folder import prune


def new(scratch: Path) -> None:
    scratch.write_bytes(b"new")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_puts_the_file_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_whole(path, new)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["run.h5"]


def test_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(b"old and longer")
    write_whole(path, new)
    assert path.read_bytes() == b"new"


def test_makes_the_folder(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "run.h5", new)
    assert (tmp_path / "a" / "b" / "run.h5").read_bytes() == b"new"


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")

    def write(scratch: Path) -> None:
        scratch.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        assert scratch.parent == path.parent  # a rename across file systems is none

    write_whole(path, write)
    assert path.read_bytes() == b"half"


def full(scratch: Path) -> None:
    scratch.write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def closing_fails(scratch: Path) -> None:
    scratch.write_bytes(b"half")
    raise RuntimeError("unable to close file")  # as h5py says it


@pytest.mark.parametrize(("write", "reason"), [(full, "No space left on device"), (closing_fails, "unable to close")])
def test_a_failing_writer_leaves_the_old_file(tmp_path: Path, write: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")
    with pytest.raises(StorageFault) as caught:
        write_whole(path, write)
    assert str(caught.value).startswith(f"cannot write {path}: {reason}")
    assert caught.value.code == Exit.STORAGE
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["run.h5"]


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt()])
def test_what_is_no_storage_fault_passes_and_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    def write(scratch: Path) -> None:
        scratch.write_bytes(b"half")
        raise failure

    with pytest.raises(type(failure)):
        write_whole(tmp_path / "run.h5", write)
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "tempfile.mkstemp", "pathlib.Path.mkdir"])
def test_a_failing_system_call_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(call, fail)
        with pytest.raises(StorageFault, match="Read-only file system"):
            write_whole(path, new)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["run.h5"]


def test_the_data_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(handle: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().suffix or 'folder'}")
        fsync(handle)

    def noting_replace(scratch: Path, path: Path) -> Path:
        done.append("rename")
        return replace(scratch, path)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    write_whole(tmp_path / "run.h5", new)
    assert done == ["sync .part", "rename", "sync folder"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_is_as_readable_as_any_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "run.h5", new)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "run.h5").stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a file")
    with pytest.raises(StorageFault, match=r"cannot write .*run\.h5"):
        write_whole(tmp_path / "a" / "run.h5", new)


def test_leftovers_of_the_killed_are_removed_and_nothing_else(tmp_path: Path) -> None:
    def killed(scratch: Path) -> None:
        scratch.write_bytes(b"half")
        left.write_bytes(scratch.read_bytes())

    left = tmp_path / ".run.h5.abc.part"
    write_whole(tmp_path / "run.h5", killed)
    (tmp_path / "notes.part").touch()
    assert left.exists()
    prune(tmp_path, after=0)
    assert names(tmp_path) == ["notes.part", "run.h5"]
    prune(tmp_path / "no such folder")
